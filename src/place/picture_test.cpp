// SPDX-License-Identifier: Apache-2.0
// What hosts say of themselves becomes a fleet that the planner takes, whatever it is.
#include "place/picture.h"

#include <gtest/gtest.h>

namespace drover::place {
namespace {

Vm vm(const std::string& uuid, VmState state = VmState::kRunning) {
  Vm one;
  one.uuid = uuid;
  one.name = "vm-" + uuid;
  one.state = state;
  one.memory = gib(1);
  one.vcpus = 2;
  Disk disk;
  disk.allocated = gib(3);
  one.disks = {disk};
  return one;
}

Capacity capacity(std::vector<Vm> vms) {
  Capacity one;
  one.host.memory_total = gib(64);
  one.host.memory_free = gib(32);
  one.host.cpus = 8;
  one.host.settings.incoming = one.host.settings.outgoing = true;
  one.vms = std::move(vms);
  one.storages = {{"/var/lib/libvirt/images", gib(100)}};
  one.link_in = one.link_out = {125'000'000};
  return one;
}

PeerAnswer answer(const std::string& name, Result<Capacity> said) {
  Peer peer;
  peer.name = name;
  peer.public_key = "key-" + name;
  return {peer, std::move(said)};
}

const fleet::FleetHost& host(const Picture& picture, std::string_view name) {
  return *std::ranges::find(picture.fleet.hosts, name, &fleet::FleetHost::name);
}

TEST(Picture, HasEveryHostAndWhereEachVmIs) {
  Capacity there = capacity({vm("b")});
  there.host.settings.live_moves.count = 0;
  there.evacuated = true;
  const Picture picture =
      make_picture("host1", "key-host1", capacity({vm("a")}), {answer("host2", there)});
  ASSERT_TRUE(fleet::check_fleet(picture.fleet));
  EXPECT_EQ(picture.vms.at("a").host, "host1");
  EXPECT_EQ(picture.vms.at("b").host, "host2");
  EXPECT_TRUE(host(picture, "host2").evacuated);
  EXPECT_GT(host(picture, "host2").live_moves, 100U) << "unlimited";
  EXPECT_EQ(host(picture, "host1").vcpus, 2U);
  EXPECT_EQ(picture.fleet.vms.at(0).disk_space, gib(3));
}

TEST(Picture, ASilentHostIsUnreachableAndItsReasonIsKept) {
  const Picture picture =
      make_picture("host1", "key-host1", capacity({}),
                   {answer("host2", fail(ErrorCode::kUnavailable, "It does not answer."))});
  EXPECT_TRUE(host(picture, "host2").unreachable);
  EXPECT_EQ(picture.troubles.at("host2"), "It does not answer.");
  EXPECT_TRUE(fleet::check_fleet(picture.fleet));
}

TEST(Picture, AVmOnTwoHostsIsWhereItRuns) {
  const Picture picture = make_picture(
      "host1", "key-host1", capacity({vm("a", VmState::kOff), vm("b", VmState::kIncoming)}),
      {answer("host2", capacity({vm("a"), vm("b")}))});
  EXPECT_EQ(picture.vms.at("a").host, "host2");
  EXPECT_EQ(picture.vms.at("b").host, "host2");
  EXPECT_TRUE(fleet::check_fleet(picture.fleet));
}

TEST(Picture, MovesUnderWayAreKnownByTheDestinationsKey) {
  Capacity here = capacity({vm("a"), vm("c")});
  here.departures = {{"a", "key-host2", gib(1), gib(1)}, {"c", "key-unknown", gib(1), gib(1)}};
  const Picture picture = make_picture("host1", "key-host1", here, {answer("host2", capacity({}))});
  ASSERT_EQ(picture.fleet.running.size(), 1U);
  EXPECT_EQ(picture.fleet.running[0].destination, "host2");
  EXPECT_EQ(picture.fleet.running[0].storage, "/var/lib/libvirt/images");
}

// A peer may say anything: VMs twice, moves of VMs it has not, of the same VM twice, to itself.
TEST(Picture, WhatAPeerInventsNeverMakesTheFleetImpossible) {
  Capacity liar = capacity({vm("a"), vm("a"), vm("")});
  liar.host.memory_free = {UINT64_MAX};
  liar.host.memory_total = {1};
  liar.link_in = {UINT64_MAX};
  liar.storages.assign(1000, {"x", {UINT64_MAX}});
  liar.vms[0].memory = {UINT64_MAX};
  liar.vms[0].vcpus = UINT32_MAX;
  liar.vms[0].disks[0].allocated = {UINT64_MAX};
  liar.departures = {{"a", "key-host1", {UINT64_MAX}, {UINT64_MAX}},
                     {"a", "key-host1", gib(1), gib(1)},
                     {"h", "key-host1", gib(1), gib(1)},
                     {"nobody", "key-host1", gib(1), gib(1)},
                     {"a", "key-host2", gib(1), gib(1)}};
  const Picture picture =
      make_picture("host1", "key-host1", capacity({vm("h")}), {answer("host2", liar)});
  ASSERT_TRUE(fleet::check_fleet(picture.fleet));
  EXPECT_EQ(picture.fleet.running.size(), 1U);
  EXPECT_EQ(picture.vms.at("h").host, "host1");
  EXPECT_LE(host(picture, "host2").memory_free, gib(1 << 20));
  EXPECT_LE(host(picture, "host2").storages.size(), 64U);
}

TEST(Capacity, TravelsAsItIs) {
  Capacity here = capacity({vm("a")});
  here.departures = {{"a", "key", gib(2), gib(1)}};
  here.evacuated = true;
  const auto read = capacity_from_json(to_json(here));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(to_json(*read), to_json(here));
  EXPECT_FALSE(capacity_from_json(R"({"host":{}})"));
  EXPECT_FALSE(capacity_from_json("no JSON"));
}

}  // namespace
}  // namespace drover::place
