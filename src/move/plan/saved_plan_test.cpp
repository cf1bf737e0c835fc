// SPDX-License-Identifier: Apache-2.0
#include "move/plan/saved_plan.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

std::string definition(const std::string& disk) {
  return std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
         "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
         "type='qcow2'/><source file='" +
         disk + "'/><target dev='vda'/></disk></devices></domain>";
}

// web01 is off, and its memory is kept.
class SavedPlan : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "saves");
    hypervisor_.saved_folder = (folder_ / "saves").string();
    open_world(hypervisor_, peers_);
    ASSERT_TRUE(hypervisor_.define(definition("/a")) && hypervisor_.start(kUuid));
    file_ = hypervisor_.saved_memory_file("web01");
    ASSERT_TRUE(hypervisor_.save(kUuid, file_, Hypervisor::Then::kRuns));
    view_.vm = *hypervisor_.find_vm(kUuid);
    view_.live_xml = view_.persistent_xml = definition("/a") + "<!-- next boot -->";
    view_.request.kind = MoveKind::kOffline;
    view_.request.destination = "host2";
  }
  void TearDown() override { close_world(); }
  Finding only() {
    const auto found = look_at_saved_memory(*world_, view_);
    EXPECT_EQ(found.size(), 1u);
    if (found.size() != 1) return {};
    EXPECT_EQ(found[0].code, "VM_SAVED");
    EXPECT_TRUE(found[0].level == FindingLevel::kNote || !found[0].fixes.empty());
    return found[0];
  }

  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
  std::string file_;
  preflight::SourceView view_;
};

TEST_F(SavedPlan, ItGoesOnWithWhatItWasSavedWithAndTheNoteSaysHowMuchTravels) {
  const Finding note = only();
  EXPECT_EQ(note.level, FindingLevel::kNote);
  EXPECT_TRUE(note.what.contains(to_text(ByteCount{std::filesystem::file_size(file_)})))
      << note.what;
  EXPECT_EQ(view_.live_xml, definition("/a"));
}

TEST_F(SavedPlan, OtherMovesAndOtherVmsAreNotConcerned) {
  view_.request.kind = MoveKind::kQuick;
  EXPECT_TRUE(look_at_saved_memory(*world_, view_).empty());
  view_.request.kind = MoveKind::kOffline;
  view_.vm.saved = false;
  EXPECT_TRUE(look_at_saved_memory(*world_, view_).empty());
  EXPECT_TRUE(view_.live_xml.contains("next boot"));
}

TEST_F(SavedPlan, WhatCannotBeReadStays) {
  std::ofstream(file_) << "LibvirtQemudPart";
  EXPECT_EQ(only().level, FindingLevel::kBlocker);
}

TEST_F(SavedPlan, MemoryThatGoesOnWithOtherDisksStays) {
  view_.persistent_xml = definition("/b");
  EXPECT_EQ(only().level, FindingLevel::kBlocker);
}

}  // namespace
}  // namespace drover::move
