// SPDX-License-Identifier: Apache-2.0
#include "place/evacuation_run.h"

#include <gtest/gtest.h>

#include "place/ground_fixture.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

class Run : public testing::Test {
 protected:
  Evacuation job_of(EvacuationKind kind = EvacuationKind::kEvacuate) {
    Evacuation job;
    job.id = "e1";
    job.host = "host1";
    job.request.kind = kind;
    job.request.requested_by = "alice";
    job.state = EvacuationState::kRunning;
    job.keeps_out = kind == EvacuationKind::kEvacuate;
    for (const auto& [uuid, vm] : ground.vms) {
      if ((vm.host == "host1") == (kind == EvacuationKind::kReturn)) continue;
      Evacuee& one = job.vms.emplace_back();
      one.uuid = uuid;
      one.name = vm.name;
      one.source = vm.host;
    }
    return job;
  }
  void begin(Evacuation job) {
    run.emplace(std::move(job), ground, [this](const Evacuation& written) {
      saved.push_back(written);
      return save_fails ? Status(fail(ErrorCode::kSystem, "The disk is full.")) : Status();
    });
  }
  void step(std::chrono::seconds later = 0s) {
    now += later;
    ASSERT_TRUE(run->step(now, {}) || save_fails);
  }
  const Evacuee& vm(const std::string& uuid) {
    return *std::ranges::find(run->job().vms, uuid, &Evacuee::uuid);
  }
  std::string said() {
    std::string all;
    for (const std::string& event : run->job().events) all += event + "\n";
    return all;
  }
  // Ends all moves as done until nothing moves any more.
  void finish() {
    for (int i = 0; i < 100 && run->job().state == EvacuationState::kRunning; ++i) {
      for (const std::string& uuid : ground.under_way()) ground.end(uuid, MoveState::kDone);
      step(2s);
    }
  }

  TestGround ground{3};
  std::optional<EvacuationRun> run;
  std::vector<Evacuation> saved;
  bool save_fails = false;
  Verdicts::Time now{1000s};
};

TEST_F(Run, MovesAllVmsUnderTheLimitsAndSaysHowItWent) {
  for (int i = 0; i < 8; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  begin(job_of());
  step();
  EXPECT_EQ(ground.under_way().size(), 2U) << "live-moves";
  for (const Evacuee& one : run->job().vms) {
    EXPECT_TRUE(one.starts_in) << one.name << " has a forecast";
    EXPECT_NE(one.destination, "host1");
    EXPECT_FALSE(one.destination.empty());
  }
  finish();
  EXPECT_EQ(run->job().state, EvacuationState::kDone);
  EXPECT_TRUE(run->job().keeps_out) << "until it is given free";
  EXPECT_EQ(run->job().explanation, "8 of 8 VMs have left host1.");
  for (const auto& [uuid, one] : ground.vms) EXPECT_NE(one.host, "host1");
  EXPECT_EQ(saved.back().state, EvacuationState::kDone);
}

TEST_F(Run, AVmThatNoHostTakesStaysAndSaysWhy) {
  ground.add_vm("a", "host1");
  ground.add_vm("b", "host1");
  ground.refused = {{"b", "host2"}, {"b", "host3"}};
  begin(job_of());
  finish();
  EXPECT_EQ(run->job().state, EvacuationState::kDone);
  EXPECT_EQ(vm("a").state, EvacueeState::kMoved);
  EXPECT_EQ(vm("b").state, EvacueeState::kStays);
  EXPECT_NE(vm("b").why.find("HOST_DEVICE: It uses a card."), std::string::npos) << vm("b").why;
  EXPECT_EQ(vm("b").fixes, (std::vector<std::string>{"Detach it.", "Or move it off."}));
  EXPECT_EQ(run->job().explanation, "1 of 2 VMs have left host1; 1 have not.");
}

TEST_F(Run, AVmThatOneHostRefusesGoesToAnother) {
  ground.add_vm("a", "host1");
  ground.refused = {{"a", "host2"}};
  ground.hosts["host3"].facts.memory_free = gib(8);  // the planner would choose host2
  begin(job_of());
  step();
  EXPECT_EQ(vm("a").destination, "host3");
  EXPECT_EQ(ground.starts, 1U) << "it was known before the start";
}

TEST_F(Run, PlansAnewWhenAHostDropsOut) {
  for (int i = 0; i < 6; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  for (auto& [name, host] : ground.hosts) host.facts.live_moves = 4;
  begin(job_of());
  step();
  ground.hosts["host3"].answers = false;
  for (const std::string& uuid : ground.under_way())
    if (vm(uuid).destination == "host3") ground.end(uuid, MoveState::kFailed, "host3 is dead.");
  step(2s);
  for (const Evacuee& one : run->job().vms) EXPECT_NE(one.destination, "host3") << one.name;
  EXPECT_NE(said().find("failed: host3 is dead."), std::string::npos) << said();
  finish();
  EXPECT_EQ(run->job().explanation, "6 of 6 VMs have left host1.");
}

TEST_F(Run, WhatWaitsInTheQueueForADeadHostIsRecalled) {
  ground.add_vm("a", "host1");
  ground.queues = true;
  ground.hosts["host3"].facts.incoming = false;
  begin(job_of());
  step();
  ASSERT_EQ(vm("a").destination, "host2");
  ground.hosts["host3"].facts.incoming = true;
  ground.hosts["host2"].facts.evacuated = true;
  step(2s);
  EXPECT_EQ(ground.moves.at("move1").view.state, MoveState::kCancelled);
  EXPECT_EQ(vm("a").destination, "host3");
  EXPECT_EQ(vm("a").state, EvacueeState::kMoving);
}

TEST_F(Run, AHostThatIsItselfEvacuatedIsNeverChosen) {
  ground.add_vm("a", "host1");
  ground.hosts["host2"].facts.evacuated = ground.hosts["host3"].facts.evacuated = true;
  begin(job_of());
  finish();
  EXPECT_EQ(ground.starts, 0U);
  EXPECT_EQ(vm("a").state, EvacueeState::kStays);
  EXPECT_NE(vm("a").why.find("evacuated"), std::string::npos) << vm("a").why;
}

TEST_F(Run, AMoveThatFailsIsTriedElsewhereThenAgainAndAtLastLeft) {
  ground.add_vm("a", "host1");
  begin(job_of());
  std::vector<std::string> tried;
  for (int i = 0; i < 200 && run->job().state == EvacuationState::kRunning; ++i) {
    step(2s);
    if (ground.under_way().empty()) continue;
    tried.push_back(vm("a").destination);
    ground.end("a", MoveState::kFailed, "No.");
  }
  ASSERT_EQ(tried.size(), kAttemptsMost);
  EXPECT_NE(tried[0], tried[1]) << "another host first";
  EXPECT_EQ(vm("a").state, EvacueeState::kStays);
  EXPECT_EQ(vm("a").attempts, kAttemptsMost);
  EXPECT_EQ(run->job().state, EvacuationState::kDone);
}

TEST_F(Run, ACancelledMoveIsNotBegunAgainAndAParkedOneIsLeftToAPerson) {
  ground.add_vm("a", "host1");
  ground.add_vm("b", "host1");
  begin(job_of());
  step();
  ground.end("a", MoveState::kCancelled);
  ground.end("b", MoveState::kParked, "It is not known who runs it.");
  step(2s);
  EXPECT_EQ(vm("a").state, EvacueeState::kStays);
  EXPECT_EQ(vm("b").state, EvacueeState::kStays);
  EXPECT_NE(vm("b").why.find("needs a person"), std::string::npos);
  EXPECT_EQ(ground.starts, 2U);
  EXPECT_EQ(run->job().state, EvacuationState::kDone);
}

TEST_F(Run, CancelledItBeginsNothingAndWaitsForWhatMoves) {
  for (int i = 0; i < 5; ++i) ground.add_vm("u" + std::to_string(i), "host1");
  begin(job_of());
  step();
  const auto moving = ground.under_way();
  run->cancel("bob");
  step(2s);
  EXPECT_EQ(run->job().state, EvacuationState::kRunning) << "two still move";
  for (const std::string& uuid : moving) ground.end(uuid, MoveState::kDone);
  step(2s);
  EXPECT_EQ(run->job().state, EvacuationState::kCancelled);
  EXPECT_FALSE(run->job().keeps_out);
  EXPECT_EQ(ground.starts, moving.size());
  EXPECT_EQ(run->job().explanation, "2 of 5 VMs have left host1; 3 have not.");
}

// The daemon was killed after a move had begun, before that was written down.
TEST_F(Run, AfterARestartItFindsTheMovesThatItHadBegun) {
  ground.add_vm("a", "host1");
  ground.add_vm("b", "host1");
  const Evacuation before = job_of();
  begin(before);
  step();
  ground.end("b", MoveState::kDone);
  begin(before);
  step(2s);
  EXPECT_EQ(vm("a").state, EvacueeState::kMoving);
  EXPECT_EQ(vm("b").state, EvacueeState::kMoved);
  EXPECT_EQ(ground.starts, 2U) << "nothing is begun twice";
  finish();
  EXPECT_EQ(run->job().explanation, "2 of 2 VMs have left host1.");
}

TEST_F(Run, WhatCannotBeWrittenDownIsNotBegun) {
  ground.add_vm("a", "host1");
  begin(job_of());
  save_fails = true;
  step();
  EXPECT_EQ(ground.starts, 0U);
  save_fails = false;
  step(2s);
  EXPECT_EQ(ground.starts, 1U);
}

TEST_F(Run, AVmThatComesMeanwhileLeavesToo) {
  ground.add_vm("a", "host1");
  begin(job_of());
  step();
  ground.add_vm("late", "host1");
  step(2s);
  EXPECT_EQ(vm("late").state, EvacueeState::kMoving);
  finish();
  EXPECT_EQ(run->job().explanation, "2 of 2 VMs have left host1.");
}

TEST_F(Run, AVmThatVanishesStaysWithItsReason) {
  ground.add_vm("a", "host1");
  ground.add_vm("b", "host1");
  ground.queues = true;
  begin(job_of());
  ground.vms.erase("b");
  finish();
  EXPECT_EQ(vm("a").state, EvacueeState::kMoved);
  EXPECT_EQ(vm("b").state, EvacueeState::kStays);
  EXPECT_NE(vm("b").why.find("none of the hosts that answer"), std::string::npos);
}

TEST_F(Run, ASilentHypervisorEndsNothing) {
  ground.add_vm("a", "host1");
  begin(job_of());
  ground.hosts["host1"].answers = false;
  for (int i = 0; i < 60; ++i) step(2s);
  EXPECT_EQ(run->job().state, EvacuationState::kRunning);
  ground.hosts["host1"].answers = true;
  finish();
  EXPECT_EQ(vm("a").state, EvacueeState::kMoved);
}

TEST_F(Run, HostsMayComeBackForAWhile) {
  ground.add_vm("a", "host1");
  ground.hosts["host2"].answers = ground.hosts["host3"].answers = false;
  begin(job_of());
  step();
  step(10s);
  EXPECT_EQ(run->job().state, EvacuationState::kRunning);
  ground.hosts["host2"].answers = true;
  step(2s);
  EXPECT_EQ(vm("a").state, EvacueeState::kMoving);
  ground.hosts["host2"].answers = false;
  ground.end("a", MoveState::kFailed, "Dead.");
  for (int i = 0; i < 60 && run->job().state == EvacuationState::kRunning; ++i) step(2s);
  EXPECT_EQ(run->job().state, EvacuationState::kDone) << "not for ever";
  EXPECT_EQ(vm("a").state, EvacueeState::kStays);
}

TEST_F(Run, ReturnBringsVmsBackFromWhereverTheyAre) {
  for (int i = 0; i < 5; ++i)
    ground.add_vm("u" + std::to_string(i), i % 2 == 0 ? "host2" : "host3");
  begin(job_of(EvacuationKind::kReturn));
  step();
  for (const auto& [id, move] : ground.moves) EXPECT_EQ(move.destination, "host1");
  // It went elsewhere meanwhile.
  ground.vms.at("u4").host = "host3";
  finish();
  EXPECT_EQ(run->job().explanation, "5 of 5 VMs are back on host1.");
  for (const auto& [uuid, one] : ground.vms) EXPECT_EQ(one.host, "host1");
}

}  // namespace
}  // namespace drover::place
