// SPDX-License-Identifier: Apache-2.0
#include "place/placer.h"

#include <thread>

#include <gtest/gtest.h>

namespace drover::place {
namespace {

using namespace std::chrono_literals;

Finding blocker(const std::string& code) {
  return {code, FindingLevel::kBlocker, "web01", code + " is so.", "", {}};
}

// Hosts that do not answer, and hosts whose plans have blockers; the others take the VM.
class ScriptedPlans final : public Plans {
 public:
  std::vector<std::string> silent, blocked;
  bool busy = false;
  std::vector<Move> known;
  std::vector<MoveRequest> started;
  std::mutex mutex;

  Result<Plan> plan(const MoveRequest& request) override {
    if (busy) return fail(ErrorCode::kConflict, "{} is moving already.", request.vm);
    if (fleet::holds(silent, request.destination))
      return fail(ErrorCode::kUnavailable, "{} does not answer.", request.destination);
    Plan plan;
    plan.request = request;
    plan.vm.uuid = "u1";
    plan.vm.name = "web01";
    if (fleet::holds(blocked, request.destination)) plan.findings = {blocker("MEMORY_SHORT")};
    return plan;
  }
  Result<Move> start(const MoveRequest& request) override {
    const std::lock_guard lock(mutex);
    started.push_back(request);
    Move move;
    move.id = "next";
    move.destination = request.destination;
    move.plan.request = request;
    known.push_back(move);
    return move;
  }
  std::vector<Move> moves() override {
    const std::lock_guard lock(mutex);
    return known;
  }
  std::size_t starts() {
    const std::lock_guard lock(mutex);
    return started.size();
  }
};

fleet::FleetHost host(const std::string& name, ByteCount free) {
  fleet::FleetHost one;
  one.name = name;
  one.memory_total = gib(64);
  one.memory_free = free;
  one.cores = 8;
  one.storages = {{"/images", gib(100)}};
  one.link_in = one.link_out = {125'000'000};
  return one;
}

Picture three_hosts() {
  Picture picture;
  picture.here = "host1";
  picture.fleet.hosts = {host("host1", gib(32)), host("host2", gib(16)), host("host3", gib(48))};
  Vm vm;
  vm.uuid = "u1";
  vm.name = "web01";
  vm.host = "host1";
  picture.vms["u1"] = vm;
  fleet::FleetVm one;
  one.id = "u1";
  one.name = "web01";
  one.host = "host1";
  one.memory = gib(1);
  picture.fleet.vms = {one};
  return picture;
}

MoveRequest to(std::vector<std::string> hosts) {
  MoveRequest request;
  request.vm = "web01";
  request.destination = hosts.front();
  request.candidates.assign(hosts.begin() + 1, hosts.end());
  return request;
}

TEST(Candidates, TheFirstThatTakesTheVmIsIt) {
  ScriptedPlans plans;
  plans.silent = {"host2"};
  plans.blocked = {"host3"};
  Placer placer(plans, three_hosts);
  const auto plan = placer.plan(to({"host2", "host3", "host4", "host5"}));
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->request.destination, "host4");
  EXPECT_EQ(plan->request.candidates, std::vector<std::string>{"host5"});
  ASSERT_EQ(plan->request.passed.size(), 2U);
  EXPECT_EQ(plan->request.passed[0], "host2: host2 does not answer.");
  EXPECT_EQ(plan->request.passed[1], "host3: MEMORY_SHORT: MEMORY_SHORT is so.");
}

TEST(Candidates, IfNoneTakesItTheBlockersAreShownElseTheErrors) {
  ScriptedPlans plans;
  plans.silent = {"host2", "host3"};
  Placer placer(plans, three_hosts);
  auto plan = placer.plan(to({"host2", "host3"}));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(plan.error().text().find("None of the 2 candidates"), std::string::npos);
  EXPECT_NE(plan.error().text().find("host2: host2 does not answer."), std::string::npos);
  plans.blocked = {"host4"};
  plan = placer.plan(to({"host2", "host4", "host3"}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->request.destination, "host4");
  EXPECT_EQ(plan->findings.at(0).code, "MEMORY_SHORT");
}

TEST(Candidates, AVmThatMovesAlreadyIsNotOfferedAround) {
  ScriptedPlans plans;
  plans.busy = true;
  Placer placer(plans, three_hosts);
  const auto plan = placer.plan(to({"host2", "host3"}));
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kConflict);
  EXPECT_EQ(plan.error().message, "web01 is moving already.");
}

Move failed_move(std::vector<std::string> hosts) {
  Move move;
  move.id = "first";
  move.state = MoveState::kFailed;
  move.plan.request = to(std::move(hosts));
  move.plan.vm.uuid = "u1";
  move.plan.vm.name = "web01";
  move.error = Error{ErrorCode::kUnavailable, Retry::kLater, "The link is gone.", {}};
  move.started_at = std::chrono::system_clock::now() - 1min;
  move.ended_at = std::chrono::system_clock::now();
  return move;
}

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000 && !holds(); ++i) std::this_thread::sleep_for(2ms);
  return holds();
}

TEST(Candidates, AMoveThatFailedGoesOnToTheNextOnce) {
  ScriptedPlans plans;
  Placer placer(plans, three_hosts);
  placer.recover();
  placer.take(failed_move({"host2", "host3"}));
  ASSERT_TRUE(eventually([&] { return plans.starts() == 1; }));
  placer.take(failed_move({"host2", "host3"}));
  placer.take(failed_move({"host2"}));
  Move cancelled = failed_move({"host2", "host3"});
  cancelled.cancel_asked = true;
  placer.take(cancelled);
  Move parked = failed_move({"host2", "host3"});
  parked.state = MoveState::kParked;
  placer.take(parked);
  Move doubtful = failed_move({"host2", "host3"});
  doubtful.runner = Runner::kUnknown;
  placer.take(doubtful);
  std::this_thread::sleep_for(50ms);
  placer.stop();
  ASSERT_EQ(plans.starts(), 1U);
  const MoveRequest& next = plans.started[0];
  EXPECT_EQ(next.destination, "host3");
  EXPECT_EQ(next.continues, "first");
  EXPECT_EQ(next.vm, "u1");
  EXPECT_TRUE(next.candidates.empty());
  ASSERT_EQ(next.passed.size(), 1U);
  EXPECT_EQ(next.passed[0], "host2: The link is gone.");
}

TEST(Candidates, WhatFailedJustBeforeARestartGoesOn) {
  ScriptedPlans plans;
  plans.known = {failed_move({"host2", "host3"})};
  {
    Placer placer(plans, three_hosts);
    placer.recover();
    EXPECT_TRUE(eventually([&] { return plans.starts() == 1; }));
  }
  // An old failure, and one after which the VM was moved again, are left alone.
  ScriptedPlans others;
  others.known = {failed_move({"host2", "host3"}), failed_move({"host2", "host3"})};
  others.known[0].ended_at = std::chrono::system_clock::now() - 1h;
  others.known[1].id = "second";
  Move later;
  later.id = "later";
  later.plan.vm.uuid = "u1";
  later.started_at = std::chrono::system_clock::now();
  others.known.push_back(later);
  Placer placer(others, three_hosts);
  placer.recover();
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(others.starts(), 0U);
}

BestRequest best_request(std::vector<std::string> among = {}) {
  BestRequest request;
  request.request.vm = "web01";
  request.among = std::move(among);
  return request;
}

TEST(Best, IsTheLeastLoadedHostWhosePlanHasNoBlocker) {
  ScriptedPlans plans;
  Placer placer(plans, three_hosts);
  auto choice = placer.best(best_request());
  ASSERT_TRUE(choice) << choice.error().text();
  ASSERT_TRUE(choice->plan);
  EXPECT_EQ(choice->plan->request.destination, "host3");
  ASSERT_EQ(choice->hosts.size(), 2U);
  EXPECT_EQ(choice->hosts[0].host, "host3");
  EXPECT_FALSE(choice->hosts[1].why.empty());

  plans.blocked = {"host3"};
  choice = placer.best(best_request());
  ASSERT_TRUE(choice && choice->plan);
  EXPECT_EQ(choice->plan->request.destination, "host2");
  EXPECT_EQ(choice->hosts[1].host, "host3");
  EXPECT_EQ(choice->hosts[1].obstacles.at(0).code, "MEMORY_SHORT");
}

TEST(Best, SaysWhyNotOfEachIfNoneIsPossible) {
  ScriptedPlans plans;
  plans.silent = {"host3"};
  Placer placer(plans, [] {
    Picture picture = three_hosts();
    picture.fleet.hosts[1].unreachable = true;
    picture.troubles["host2"] = "No answer at 10.0.0.2.";
    return picture;
  });
  const auto choice = placer.best(best_request());
  ASSERT_TRUE(choice);
  EXPECT_FALSE(choice->plan);
  for (const HostChoice& host : choice->hosts) {
    EXPECT_FALSE(host.possible) << host.host;
    EXPECT_FALSE(host.obstacles.empty()) << host.host;
    if (host.host != "host2") continue;
    EXPECT_EQ(host.obstacles.back().why, "No answer at 10.0.0.2.");
  }
}

TEST(Best, KnowsOnlyHostsAndVmsThatThereAre) {
  ScriptedPlans plans;
  Placer placer(plans, three_hosts);
  EXPECT_EQ(placer.best(best_request({"host9"})).error().code, ErrorCode::kNotFound);
  BestRequest request = best_request();
  request.request.vm = "web02";
  EXPECT_EQ(placer.best(request).error().code, ErrorCode::kNotFound);
  const auto among = placer.best(best_request({"host2"}));
  ASSERT_TRUE(among && among->plan);
  EXPECT_EQ(among->plan->request.destination, "host2");
}

// Several VMs of one command must not all see the same free room.
TEST(Best, CountsWhatWasPlacedJustBefore) {
  ScriptedPlans plans;
  Placer placer(plans, [] {
    Picture picture = three_hosts();
    fleet::FleetVm big = picture.fleet.vms[0];
    big.id = "u2";
    big.memory = gib(40);
    picture.fleet.vms.push_back(big);
    return picture;
  });
  BestRequest request = best_request();
  request.after = {{"u2", "host3"}, {"nobody", "host3"}};
  const auto choice = placer.best(request);
  ASSERT_TRUE(choice && choice->plan);
  EXPECT_EQ(choice->plan->request.destination, "host2");
}

}  // namespace
}  // namespace drover::place
