// SPDX-License-Identifier: Apache-2.0
#include "move/plan/stale_plan.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

std::string live(const std::string& more) {
  return "<domain><devices><emulator>/bin/qemu</emulator>" + more + "</devices></domain>";
}

Planned shown() {
  Planned planned;
  Plan& plan = planned.plan;
  plan.id = "p1p1p1p1";
  plan.vm.name = "web01";
  plan.vm.state = VmState::kRunning;
  plan.vm.memory = gib(1);
  plan.vm.vcpus = 2;
  Disk disk;
  disk.target = "vda";
  disk.path = "/images/web01.qcow2";
  disk.format = "qcow2";
  disk.virtual_size = gib(10);
  disk.allocated = gib(2);
  plan.vm.disks = {disk};
  DiskPlacement placement;
  placement.target = "vda";
  placement.destination_path = "/images/web01.qcow2";
  plan.placements = {placement};
  plan.files = {{"vda", "/images/base.qcow2", "/images/base.qcow2", "qcow2", {}, {}, {}, true}};
  plan.nvram_destination = "/nvram/web01.fd";
  plan.networks = {{"any", "10.77.0.1", "10.77.0.2"}};
  planned.persistent_xml = "<domain/>";
  planned.live_xml = live("");
  return planned;
}

TEST(StalePlan, WhatChangesByItselfIsNoChange) {
  Planned now = shown();
  now.plan.id = "p2p2p2p2";
  now.plan.vm.disks[0].allocated = gib(3);
  now.plan.placements[0].allocated = gib(3);
  now.plan.bytes_expected = gib(4);
  now.plan.made_at += std::chrono::minutes(5);
  now.plan.findings.emplace_back();
  now.plan.forecast.emplace();
  EXPECT_TRUE(changed_since(shown(), now).empty());
  EXPECT_TRUE(check_not_stale(shown(), now));
}

TEST(StalePlan, EachThingThatAPlanStandsOnIsNamed) {
  struct Row {
    void (*change)(Planned&);
    const char* said;
  };
  const Row rows[] = {
      {[](Planned& now) { now.plan.kind = MoveKind::kOffline; }, "kind offline, not live"},
      {[](Planned& now) { now.plan.vm.state = VmState::kOff; }, "It was running and is off."},
      {[](Planned& now) { now.plan.vm.memory = gib(2); }, "1.0 GiB of memory and has 2.0 GiB"},
      {[](Planned& now) { now.plan.vm.vcpus = 4; }, "2 CPUs and has 4"},
      {[](Planned& now) { now.plan.vm.snapshots = 1; }, "0 snapshots and has 1"},
      {[](Planned& now) { now.plan.vm.nvram_path = "/n"; }, "UEFI"},
      {[](Planned& now) { now.plan.vm.disks[0].path = "/other"; }, "vda was /images/web01.qcow2"},
      {[](Planned& now) { now.plan.vm.disks[0].path = ""; }, "is empty."},
      {[](Planned& now) { now.plan.vm.disks[0].format = "raw"; }, "image of vda is another"},
      {[](Planned& now) { now.plan.vm.disks[0].backing_chain = {"/b"}; }, "image of vda"},
      {[](Planned& now) { now.plan.vm.disks[0].virtual_size = gib(11); }, "10 GiB large and is 11"},
      {[](Planned& now) { now.plan.vm.disks.clear(); }, "The disk vda is gone."},
      {[](Planned& now) { now.plan.vm.disks.emplace_back().target = "vdb"; }, "vdb is new"},
      {[](Planned& now) { now.plan.placements[0].destination_path = "/x"; }, "would land at /x"},
      {[](Planned& now) { now.plan.placements[0].shared = true; }, "seen by both hosts now"},
      {[](Planned& now) { now.plan.networks[0].destination_address = "10.9.9.9"; }, "to 10.9.9.9"},
      {[](Planned& now) { now.plan.files[0].destination_path = "/b"; }, "base.qcow2 would land at"},
      {[](Planned& now) { now.plan.files[0].present = false; }, "is to be copied now"},
      {[](Planned& now) { now.plan.files.clear(); }, "no part of it any more"},
      {[](Planned& now) { now.plan.files.push_back({"vda", "/c", "/c", "raw", {}, {}, {}}); },
       "/c is a part of it"},
      {[](Planned& now) { now.plan.nvram_destination = "/n"; }, "UEFI variables would land at /n"},
      {[](Planned& now) { now.live_xml = live("<hostdev type='pci'/>"); }, "hostdev pci is new"},
      {[](Planned& now) { now.persistent_xml = "<domain id='2'/>"; }, "definition was changed"}};
  for (const Row& row : rows) {
    Planned now = shown();
    row.change(now);
    const auto changes = changed_since(shown(), now);
    ASSERT_EQ(changes.size(), 1u) << row.said;
    EXPECT_NE(changes[0].find(row.said), std::string::npos) << changes[0];
    const Status refused = check_not_stale(shown(), now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
    EXPECT_NE(refused.error().message.find("web01"), std::string::npos);
  }
}

// Blockers take the way and the placements with them, and are told by themselves.
TEST(StalePlan, WhatABlockerTookAwayIsLeftToIt) {
  Planned now = shown();
  now.plan.placements.clear();
  now.plan.files.clear();
  now.plan.nvram_destination.clear();
  now.plan.networks.clear();
  EXPECT_TRUE(changed_since(shown(), now).empty());
}

// A disk's size that libvirt could not tell this time is no change.
TEST(StalePlan, ASizeThatNobodyKnowsIsNoChange) {
  Planned now = shown();
  now.plan.vm.disks[0].virtual_size = {};
  EXPECT_TRUE(changed_since(shown(), now).empty());
}

}  // namespace
}  // namespace drover::move
