// SPDX-License-Identifier: Apache-2.0
#include "fleet/best_host.h"

#include <gtest/gtest.h>

#include "fleet/random_fleet_fixture.h"

namespace drover::fleet {
namespace {

// Three alike hosts of 64 GiB; vm00000 with 8 GiB is on the first.
Fleet three_hosts() {
  Fleet fleet;
  for (const char* name : {"host1", "host2", "host3"}) {
    FleetHost host;
    host.name = name;
    host.memory_total = host.memory_free = gib(64);
    host.cores = 16;
    host.link_out = host.link_in = {100'000'000};
    host.storages = {{"default", gib(500)}};
    host.networks = {"lan"};
    fleet.hosts.push_back(host);
  }
  FleetVm vm;
  vm.id = "u1";
  vm.name = "web";
  vm.host = "host1";
  vm.memory = gib(8);
  fleet.hosts[0].memory_free = gib(56);
  fleet.vms.push_back(vm);
  return fleet;
}

std::vector<Obstacle> obstacles_of(const BestHost& answer, const std::string& host) {
  std::vector<Obstacle> found;
  for (const HostVerdict& verdict : answer.hosts) {
    if (verdict.host != host) continue;
    for (const WhyNot& why : verdict.obstacles) found.push_back(why.obstacle);
  }
  return found;
}

TEST(BestHost, IsTheLeastLoadedThenTheFasterThenTheFirstByName) {
  Fleet fleet = three_hosts();
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host2");
  fleet.hosts[2].link_in = {200'000'000};
  fleet.hosts[0].link_out = {200'000'000};
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host3") << "faster";
  fleet.hosts[2].memory_free = gib(40);
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host2") << "less loaded";
  fleet.hosts[1].vcpus = 60;
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host3") << "vCPUs are load too";
}

TEST(BestHost, DoesNotDependOnTheOrderOfTheInput) {
  Fleet fleet = three_hosts();
  std::ranges::reverse(fleet.hosts);
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host2");
}

TEST(BestHost, SaysEveryReasonWhyNotWithAFixWhereThereIsOne) {
  Fleet fleet = three_hosts();
  FleetHost& host = fleet.hosts[1];
  host.unreachable = host.evacuated = true;
  host.incoming = false;
  host.live_moves = 0;
  host.memory_free = gib(1);
  host.cores = 1;
  host.networks = {};
  host.storages = {{"default", gib(1)}};
  FleetVm& vm = fleet.vms[0];
  vm.vcpus = 2;
  vm.cpu = "Skylake";
  vm.networks = {"lan"};
  vm.shared = {"san"};
  vm.disk_space = gib(10);
  const auto answer = best_host(fleet, "u1", {"host2", "host1"});
  EXPECT_EQ(answer->best(), nullptr);
  EXPECT_EQ(obstacles_of(*answer, "host2"),
            (std::vector{Obstacle::kUnreachable, Obstacle::kEvacuated, Obstacle::kIncomingOff,
                         Obstacle::kNoMoves, Obstacle::kMemory, Obstacle::kCores, Obstacle::kCpu,
                         Obstacle::kNetwork, Obstacle::kSharedStorage, Obstacle::kDiskSpace}));
  EXPECT_EQ(obstacles_of(*answer, "host1"), std::vector{Obstacle::kIsHere});
  for (const WhyNot& why : answer->hosts[1].obstacles) {
    EXPECT_NE(why.what.find("host2"), std::string::npos) << why.what;
    const bool fixable = why.obstacle != Obstacle::kEvacuated && why.obstacle != Obstacle::kCores;
    EXPECT_EQ(why.fix.empty(), !fixable) << why.what;
  }
}

TEST(BestHost, NeverIsOneThatIsBeingEvacuated) {
  Fleet fleet = three_hosts();
  fleet.hosts[1].evacuated = true;
  EXPECT_EQ(best_host(fleet, "u1", {})->best()->host, "host3");
}

TEST(BestHost, RoomReservedForMovesUnderWayIsNotFree) {
  Fleet fleet = three_hosts();
  FleetVm big = fleet.vms[0];
  big.id = "u2";
  big.memory = gib(60);
  fleet.vms.push_back(big);
  fleet.running.push_back({"u2", "host2", "", {}, gib(60)});
  const auto answer = best_host(fleet, "u1", {});
  EXPECT_EQ(answer->best()->host, "host3");
  EXPECT_EQ(obstacles_of(*answer, "host2"), std::vector{Obstacle::kMemory});
  EXPECT_NE(answer->hosts.back().obstacles[0].what.find("4.0 GiB"), std::string::npos)
      << answer->hosts.back().obstacles[0].what;
  EXPECT_EQ(best_host(fleet, "u2", {})->best(), nullptr) << "it is moving";
}

TEST(BestHost, AVmThatCannotLeaveHasNone) {
  Fleet fleet = three_hosts();
  fleet.hosts[0].outgoing = false;
  const auto answer = best_host(fleet, "u1", {});
  EXPECT_EQ(answer->best(), nullptr);
  ASSERT_EQ(answer->stays.size(), 1u);
  EXPECT_EQ(answer->stays[0].obstacle, Obstacle::kSourceOutgoingOff);
}

TEST(BestHost, SaysThatAGuestOutrunsTheLink) {
  Fleet fleet = three_hosts();
  fleet.vms[0].dirty_rate = {95'000'000};
  const auto answer = best_host(fleet, "u1", {"host2"});
  EXPECT_TRUE(answer->best()->outruns_link);
  EXPECT_GT(answer->best()->forecast.count(), 800) << "8 GiB at a tenth of 100 MB/s";
}

TEST(BestHost, UnknownNamesAreErrors) {
  EXPECT_EQ(best_host(three_hosts(), "u9", {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(best_host(three_hosts(), "u1", {"host9"}).error().code, ErrorCode::kNotFound);
  Fleet twice = three_hosts();
  twice.hosts[1].name = "host1";
  EXPECT_EQ(best_host(twice, "u1", {}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover::fleet
