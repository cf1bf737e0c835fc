// SPDX-License-Identifier: Apache-2.0
#include "fleet/evacuation.h"

#include <gtest/gtest.h>

#include "fleet/link_shares.h"
#include "fleet/plan_checker_fixture.h"

namespace drover::fleet {
namespace {

FleetHost host_of(std::string name, std::uint64_t memory_gib, unsigned live_moves = 2) {
  FleetHost host;
  host.name = std::move(name);
  host.memory_total = host.memory_free = gib(memory_gib);
  host.live_moves = live_moves;
  host.link_out = host.link_in = {1'000'000'000};
  return host;
}

void add_vm(Fleet& fleet, std::string id, std::string host, std::uint64_t memory_gib,
            int priority = 0) {
  FleetVm vm;
  vm.id = vm.name = std::move(id);
  vm.host = std::move(host);
  vm.memory = gib(memory_gib);
  vm.priority = priority;
  auto& at = *std::ranges::find(fleet.hosts, vm.host, &FleetHost::name);
  at.memory_free = at.memory_free - vm.memory;
  fleet.vms.push_back(vm);
}

const PlannedMove& move_of(const FleetPlan& plan, const std::string& vm) {
  const auto it = std::ranges::find(plan.moves, vm, &PlannedMove::vm);
  EXPECT_NE(it, plan.moves.end()) << vm;
  return *it;
}

std::vector<std::string> ids(const Fleet& fleet) {
  std::vector<std::string> all;
  for (const FleetVm& vm : fleet.vms) all.push_back(vm.id);
  return all;
}

void expect_sound(const Fleet& fleet, const FleetPlan& plan) {
  for (const std::string& fault : PlanChecker(fleet, plan).faults(ids(fleet)))
    ADD_FAILURE() << fault;
}

TEST(Evacuate, HighPriorityGoesFirstThenTheLongest) {
  Fleet fleet{{host_of("a", 100, 1), host_of("b", 100)}, {}, {}};
  add_vm(fleet, "small", "a", 1);
  add_vm(fleet, "large", "a", 8);
  add_vm(fleet, "first", "a", 2, 5);
  const auto plan = evacuate(fleet, {"a"}, {});
  expect_sound(fleet, *plan);
  EXPECT_EQ(plan->moves[0].vm, "first");
  EXPECT_EQ(plan->moves[1].vm, "large");
  EXPECT_EQ(plan->moves[2].vm, "small");
}

TEST(Evacuate, NamesWhatCannotMoveAndWhy) {
  Fleet fleet{{host_of("a", 100), host_of("b", 10), host_of("c", 100)}, {}, {}};
  fleet.hosts[2].incoming = false;
  add_vm(fleet, "large", "a", 20);
  add_vm(fleet, "small", "a", 2);
  const auto plan = evacuate(fleet, {"a"}, {});
  expect_sound(fleet, *plan);
  EXPECT_EQ(move_of(*plan, "small").destination, "b");
  ASSERT_EQ(plan->not_moved.size(), 1u);
  EXPECT_EQ(plan->not_moved[0].vm, "large");
  std::set<Obstacle> why;
  for (const Hindrance& one : plan->not_moved[0].hindrances) why.insert(one.why.obstacle);
  EXPECT_TRUE(why.contains(Obstacle::kMemory));
  EXPECT_TRUE(why.contains(Obstacle::kIncomingOff));
}

TEST(Evacuate, NeverToAHostThatIsBeingEvacuatedToo) {
  Fleet fleet{{host_of("a", 100), host_of("b", 100), host_of("c", 40)}, {}, {}};
  add_vm(fleet, "one", "a", 20);
  add_vm(fleet, "two", "b", 20);
  add_vm(fleet, "three", "b", 20);
  const auto plan = evacuate(fleet, {"a", "b"}, {});
  expect_sound(fleet, *plan);
  EXPECT_EQ(plan->moves.size(), 2u);
  EXPECT_EQ(plan->not_moved.size(), 1u);
  for (const PlannedMove& move : plan->moves) EXPECT_EQ(move.destination, "c");
  EXPECT_EQ(evacuate(fleet, {"a"}, {"a", "c"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(evacuate(fleet, {"x"}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(evacuate(fleet, {"a"}, {"x"}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Evacuate, AnExchangeMakesRoom) {
  // `fits both` is larger and is placed first, by load, where only the other one may go.
  Fleet fleet{{host_of("a", 100), host_of("b", 12), host_of("c", 10)}, {}, {}};
  fleet.hosts[1].cpus = {"new"};
  add_vm(fleet, "any", "a", 10);
  add_vm(fleet, "needs b", "a", 9);
  fleet.vms[1].cpu = "new";
  const auto plan = evacuate(fleet, {"a"}, {});
  expect_sound(fleet, *plan);
  EXPECT_TRUE(plan->not_moved.empty());
}

TEST(PlanMoves, HostsThatSwapUnderALimitOfOneDoSoOneAfterTheOther) {
  Fleet fleet{{host_of("a", 100, 1), host_of("b", 100, 1)}, {}, {}};
  for (int i = 0; i < 5; ++i) {
    add_vm(fleet, "a" + std::to_string(i), "a", 4);
    add_vm(fleet, "b" + std::to_string(i), "b", 4);
  }
  const auto plan = plan_moves(
      fleet, {{{"a0", "a1", "a2", "a3", "a4"}, {"b"}}, {{"b0", "b1", "b2", "b3", "b4"}, {"a"}}});
  expect_sound(fleet, *plan);
  EXPECT_EQ(plan->moves.size(), 10u);
  EXPECT_NE(plan->moves[0].source, plan->moves[1].source) << "they take turns";
}

TEST(PlanMoves, RoomThatComesFreeIsUsedInTheRightOrder) {
  // Each is full but c: a's VM must leave before b's can come.
  Fleet fleet{{host_of("a", 10), host_of("b", 10), host_of("c", 10)}, {}, {}};
  add_vm(fleet, "x", "a", 10);
  add_vm(fleet, "y", "b", 10);
  const auto plan = plan_moves(fleet, {{{"x"}, {"c"}}, {{"y"}, {"a"}}});
  expect_sound(fleet, *plan);
  EXPECT_GE(move_of(*plan, "y").start, move_of(*plan, "x").end);
}

TEST(PlanMoves, TwoFullHostsCannotSwapAndThePlanSaysSo) {
  Fleet fleet{{host_of("a", 10), host_of("b", 10)}, {}, {}};
  add_vm(fleet, "x", "a", 10);
  add_vm(fleet, "y", "b", 10);
  const auto plan = plan_moves(fleet, {{{"x"}, {"b"}}, {{"y"}, {"a"}}});
  expect_sound(fleet, *plan);
  EXPECT_TRUE(plan->moves.empty());
  ASSERT_EQ(plan->not_moved.size(), 2u);
  EXPECT_EQ(plan->not_moved[0].hindrances[0].why.obstacle, Obstacle::kMemory);
}

TEST(PlanMoves, AnotherAllowedHostOpensTheCircle) {
  Fleet fleet{{host_of("a", 10), host_of("b", 10), host_of("c", 10)}, {}, {}};
  add_vm(fleet, "x", "a", 10);
  add_vm(fleet, "y", "b", 10);
  const auto plan = plan_moves(fleet, {{{"x"}, {"b", "c"}}, {{"y"}, {"a"}}});
  expect_sound(fleet, *plan);
  EXPECT_EQ(plan->moves.size(), 2u);
}

TEST(PlanMoves, AMoveThatNeedsTwoBusyHostsIsNotPassedForEver) {
  // `w` needs s and d at once, which are each kept busy by 40 moves that rank behind it.
  Fleet fleet{
      {host_of("s", 1000, 1), host_of("d", 1000, 1), host_of("e", 1000, 1), host_of("t", 1000, 1)},
      {},
      {}};
  Group away{{}, {"e"}}, there{{}, {"d"}};
  add_vm(fleet, "w", "s", 2);
  add_vm(fleet, "top", "s", 1, 9);  // so that w does not start at once
  add_vm(fleet, "top2", "t", 3, 9);
  for (int i = 0; i < 40; ++i) {
    add_vm(fleet, "s" + std::to_string(i), "s", 1, -1);
    add_vm(fleet, "t" + std::to_string(i), "t", 2, -1);
    away.vms.push_back(fleet.vms[fleet.vms.size() - 2].id);
    there.vms.push_back(fleet.vms.back().id);
  }
  away.vms.push_back("top");
  there.vms.push_back("top2");
  const auto plan = plan_moves(fleet, {{{"w"}, {"d"}}, away, there});
  expect_sound(fleet, *plan);
  unsigned before = 0;
  for (const PlannedMove& move : plan->moves) before += move.start < move_of(*plan, "w").start;
  EXPECT_LE(before, kPassedMost + 2);
  EXPECT_LE(PlanChecker(fleet, *plan).passed_most(), kPassedMost);
}

TEST(PlanMoves, BusyGuestsAreGivenTheShareThatTheyNeed) {
  Fleet fleet{{host_of("a", 100, 10), host_of("b", 100, 10)}, {}, {}};
  for (int i = 0; i < 10; ++i) {
    add_vm(fleet, "v" + std::to_string(i), "a", 4);
    fleet.vms.back().dirty_rate = {50'000'000};
  }
  const auto plan = evacuate(fleet, {"a"}, {});
  expect_sound(fleet, *plan);
  for (const PlannedMove& move : plan->moves) {
    EXPECT_GE(move.share.value, 400'000'000u) << move.vm;
    EXPECT_FALSE(move.outruns_link);
  }
}

TEST(PlanMoves, BadGroupsAreErrors) {
  Fleet fleet{{host_of("a", 10), host_of("b", 10)}, {}, {}};
  add_vm(fleet, "x", "a", 1);
  EXPECT_EQ(plan_moves(fleet, {{{"x"}, {"b"}}, {{"x"}, {}}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(plan_moves(fleet, {{{"y"}, {"b"}}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(plan_moves(fleet, {{{"x"}, {"a"}}})->moves.empty()) << "it is there";
}

TEST(Replan, MovesUnderWayStayAndKeepTheirRoom) {
  Fleet fleet{{host_of("a", 100, 2), host_of("b", 10), host_of("c", 10)}, {}, {}};
  add_vm(fleet, "x", "a", 8);
  add_vm(fleet, "y", "a", 8);
  fleet.running.push_back({"x", "b", "", {}, gib(2)});
  const auto plan = evacuate(fleet, {"a"}, {});
  expect_sound(fleet, *plan);
  EXPECT_TRUE(move_of(*plan, "x").running);
  EXPECT_EQ(move_of(*plan, "y").destination, "c");
}

TEST(Replan, AHostThatDropsOutIsNoDestinationAndItsMoveIsUndecided) {
  Fleet fleet{{host_of("a", 100, 1), host_of("b", 100), host_of("c", 100)}, {}, {}};
  add_vm(fleet, "x", "a", 8);
  add_vm(fleet, "y", "a", 8);
  fleet.vms[1].planned_to = "b";
  fleet.running.push_back({"x", "b", "", {}, gib(2)});
  fleet.hosts[1].unreachable = true;
  const auto plan = evacuate(fleet, {"a"}, {});
  EXPECT_EQ(move_of(*plan, "y").destination, "c");
  EXPECT_GE(move_of(*plan, "y").start, MoveTiming{}.patience) << "its slot is held until then";
  ASSERT_EQ(plan->not_moved.size(), 1u);
  EXPECT_EQ(plan->not_moved[0].hindrances[0].why.obstacle, Obstacle::kUndecided);
}

TEST(Replan, AnEarlierDestinationIsKeptIfStillPossible) {
  Fleet fleet{{host_of("a", 100), host_of("b", 100), host_of("c", 50)}, {}, {}};
  add_vm(fleet, "x", "a", 8);
  EXPECT_EQ(evacuate(fleet, {"a"}, {})->moves[0].destination, "b");
  fleet.vms[0].planned_to = "c";
  EXPECT_EQ(evacuate(fleet, {"a"}, {})->moves[0].destination, "c");
  fleet.hosts[2].memory_free = gib(1);
  EXPECT_EQ(evacuate(fleet, {"a"}, {})->moves[0].destination, "b");
}

TEST(ReturnHome, BringsTheVmsBackToAHostThatWasEvacuated) {
  Fleet fleet{{host_of("a", 100), host_of("b", 100), host_of("c", 100)}, {}, {}};
  add_vm(fleet, "x", "b", 8);
  add_vm(fleet, "y", "c", 8);
  fleet.hosts[0].evacuated = true;
  const auto plan = return_home(fleet, "a", {"x", "y"});
  ASSERT_EQ(plan->moves.size(), 2u);
  for (const PlannedMove& move : plan->moves) EXPECT_EQ(move.destination, "a");
}

TEST(LinkShares, WhatADestinationCannotTakeIsTheOthers) {
  Fleet fleet{{host_of("s", 1), host_of("slow", 1), host_of("fast", 1)}, {}, {}};
  fleet.hosts[1].link_in = {100'000'000};
  LinkShares links(fleet);
  links.join(0, 0, 1);
  links.join(1, 0, 2);
  auto changed = links.changes();
  std::ranges::sort(changed);
  ASSERT_EQ(changed.size(), 2u);
  EXPECT_DOUBLE_EQ(changed[0].second, 1e8);
  EXPECT_DOUBLE_EQ(changed[1].second, 9e8);
  links.leave(0, 0, 1);
  changed = links.changes();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_DOUBLE_EQ(changed[0].second, 1e9);
}

}  // namespace
}  // namespace drover::fleet
