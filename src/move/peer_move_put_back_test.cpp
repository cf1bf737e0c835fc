// SPDX-License-Identifier: Apache-2.0
// What a source takes from its VM for a move and gives back when the VM stays: checkpoints, discs,
// teamed cards.
#include <gtest/gtest.h>

#include "move/live/live_move_fixture.h"

namespace drover::move {
namespace {

TEST_F(LiveMoveSwitch, CheckpointsAreKnownAgainWhenTheVmStays) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", false}, {"later", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(hypervisor_.known.size(), 2u);
  EXPECT_TRUE(hypervisor_.known[1].name == "later" && hypervisor_.known[1].current);
}

TEST_F(LiveMoveSwitch, ADiscIsInsertedAgainWhenTheVmStays) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.change_fails_with = {ErrorCode::kTimeout};  // its own job has not ended yet
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sda=/iso/a.iso"});
}

TEST_F(LiveMoveSwitch, WhatSomebodyElseInsertedStays) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("/iso/b.iso");
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.changed.empty());
}

// As they were: the next boot may have had another disc, or none.
TEST_F(LiveMoveSwitch, TheNextBootGetsItsOwnDiscBack) {
  struct Case {
    std::string next, now_holds;
    std::vector<std::string> changed;
  };
  const Case cases[] = {
      {"/iso/b.iso", "", {"sda=/iso/a.iso now", "sda=/iso/b.iso at next boot"}},
      {"", "", {"sda=/iso/a.iso now"}},
      {"/iso/b.iso", "/iso/a.iso", {"sda=/iso/b.iso at next boot"}},  // a droverd ended in between
  };
  for (const Case& c : cases) {
    if (&c != cases) {
      ASSERT_TRUE(records_->create_source({kUuid, kMove}, kMove));
    }
    record(gate::SourceState::kKept);
    job_.ejected = {known_file("sda", "/iso/a.iso", {})};
    job_.ejected_next = {known_file("sda", c.next, {})};
    hypervisor_.vm = with_drive(c.now_holds);
    hypervisor_.vm->persistent = true;
    hypervisor_.vm->state = VmState::kRunning;
    hypervisor_.next_boot = fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><devices><disk type='file' "
        "device='cdrom'><target dev='sda'/></disk></devices></domain>",
        kUuid);
    hypervisor_.changed.clear();
    EXPECT_EQ(resume().state, MoveState::kFailed);
    EXPECT_EQ(hypervisor_.changed, c.changed) << "next '" << c.next << "'";
  }
}

// A droverd ended between the two, or somebody has filled one of them since.
TEST_F(LiveMoveSwitch, ADiscIsInsertedUnlessTheNextBootHasAnother) {
  const auto drive = [](const std::string& source) {
    return fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><devices><disk type='{}' "
        "device='cdrom'>{}<target dev='sda'/></disk></devices></domain>",
        kUuid, source.contains("protocol") ? "network" : "file", source);
  };
  const std::string nothing = drive(""), ours = drive("<source file='/iso/a.iso'/>"),
                    other = drive("<source file='/iso/b.iso'/>"),
                    served = drive("<source protocol='https' name='b.iso'/>");
  struct Case {
    VmState state;
    std::string now, next_boot;
    bool inserted;
  };
  const Case cases[] = {
      {VmState::kRunning, "", nothing, true},
      {VmState::kRunning, "/iso/a.iso", nothing, true},
      {VmState::kRunning, "", ours, true},
      {VmState::kRunning, "/iso/a.iso", ours, false},
      {VmState::kRunning, "", other, false},
      {VmState::kRunning, "", served, false},
      {VmState::kRunning, "", drive("").replace(drive("").find("'sda'"), 5, "'sdb'"), true},
      {VmState::kRunning, "/iso/b.iso", nothing, false},
      {VmState::kOff, "", nothing, true},
      {VmState::kOff, "/iso/b.iso", other, false},
  };
  for (const Case& c : cases) {
    // The end of the move before took its record along.
    if (&c != cases) {
      ASSERT_TRUE(records_->create_source({kUuid, "k3f9x2qa"}, "k3f9x2qa"));
    }
    record(gate::SourceState::kKept);
    job_.ejected = {known_file("sda", "/iso/a.iso", {})};
    hypervisor_.vm = with_drive(c.now);
    hypervisor_.vm->persistent = true;
    hypervisor_.vm->state = c.state;
    hypervisor_.next_boot = c.next_boot;
    hypervisor_.changed.clear();
    EXPECT_EQ(resume().state, MoveState::kFailed);
    EXPECT_EQ(hypervisor_.changed.size(), c.inserted ? 1u : 0u)
        << vm_state_words(c.state) << ", now '" << c.now << "', then " << c.next_boot;
  }
}

// 15 s, as a libvirt that says no is asked. The journal keeps what is not back.
TEST_F(LiveMoveSwitch, ADiscThatIsNotBackIsSaidAndNotForgotten) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {}), known_file("sdb", "/iso/b.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.vm->disks.push_back(hypervisor_.vm->disks.front());
  hypervisor_.vm->disks.back().target = "sdb";
  hypervisor_.never = {"sda=/iso/a.iso"};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sdb=/iso/b.iso"});
  const SourceJob job = move.take_job();
  ASSERT_EQ(job.ejected.size(), 1u);
  EXPECT_EQ(job.ejected[0].target, "sda");
  EXPECT_TRUE(job.move.explanation.contains("virsh change-media web01 sda /iso/a.iso"))
      << job.move.explanation;
  EXPECT_TRUE(job.move.explanation.contains("libvirt says no")) << job.move.explanation;
}

// For longer than one that says no is asked.
TEST_F(LiveMoveSwitch, ADiscWaitsForALibvirtThatIsAway) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.change_fails_with.assign(32, ErrorCode::kUnavailable);
  record(gate::SourceState::kKept);
  const Move move = resume();
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sda=/iso/a.iso"});
  EXPECT_FALSE(move.explanation.contains("does not answer")) << move.explanation;
}

// It was asked to let it go, by a droverd before this one.
TEST_F(LiveMoveSwitch, ACardThatTheGuestLetsGoTooLateIsPluggedInAgain) {
  const std::string there = fmt::format("<domain><devices>{}</devices></domain>", kCard);
  job_.unplugged = {kCard};
  hypervisor_.definitions = {there, there, "<domain/>"};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"plug 52:54:00:00:00:02"});
  EXPECT_TRUE(move.take_job().unplugged.empty());
}

TEST_F(LiveMoveSwitch, ACardThatTheGuestMayStillLetGoIsSaid) {
  job_.unplugged = {kCard};
  hypervisor_.definitions = {fmt::format("<domain><devices>{}</devices></domain>", kCard)};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_TRUE(hypervisor_.changed.empty());
  const SourceJob job = move.take_job();
  EXPECT_EQ(job.unplugged, std::vector<std::string>{kCard});
  EXPECT_TRUE(job.move.explanation.contains("may still let it go")) << job.move.explanation;
  EXPECT_TRUE(job.move.explanation.contains("virsh attach-device web01")) << job.move.explanation;
}

TEST_F(LiveMoveSwitch, CardsArePluggedInAgainWhenTheVmStaysAndOnlyThen) {
  job_.unplugged = {kCard};
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"plug 52:54:00:00:00:02"});
}

TEST_F(LiveMoveSwitch, WhatAParkedGuestLacksIsSaid) {
  job_.unplugged = {kCard};
  ASSERT_TRUE(records_->remove({kUuid, kMove}));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.changed.empty());
  EXPECT_TRUE(move.explanation.contains("the network card 52:54:00:00:00:02")) << move.explanation;
}

TEST_F(LiveMoveSwitch, WhatLeftTheVmForGoodIsNotPutBack) {
  job_.unplugged = {"<interface><teaming type='transient'/></interface>"};
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.changed.empty());
}

// libvirtd is away, for longer than a libvirt that says no is asked: the move goes on until it has
// been told.
TEST_F(LiveMoveSwitch, CheckpointsAreNotGivenUpWhileLibvirtIsAway) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  record(gate::SourceState::kKept);
  hypervisor_.knows = [asked = 0]() mutable -> Status {
    return ++asked < 4 ? fail(ErrorCode::kUnavailable, "libvirtd is away.") : Status{};
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.known.size(), 1u);
  EXPECT_FALSE(move.explanation.contains("away")) << move.explanation;
}

// What libvirt says of them now would be written over what is known of them.
TEST_F(LiveMoveSwitch, NoAttemptFollowsWithoutTheCheckpoints) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  job_.migrate_called = job_.carriers_started = false;
  job_.move.phase = Phase::kPlan;
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.run(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kFailed);
  EXPECT_TRUE(move.snapshot().error->message.contains("checkpoints"))
      << move.snapshot().error->text();
  ASSERT_EQ(hypervisor_.known.size(), 1u) << "and they were told once more";
}

TEST_F(LiveMoveSwitch, CheckpointsThatTheDestinationDoesNotTakeAreSaid) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  VerifyReply reply{true, "running", std::chrono::milliseconds(40), {}, {}};
  reply.checkpoints_lost = "libvirt says no.";
  peer_.verifies.push_back(to_json(reply));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_NE(move.explanation.find("libvirt says no"), std::string::npos);
}

TEST(ItemJobs, KeepCheckpointsOverARestart) {
  SourceJob job;
  job.move.id = "k3f9x2qa";
  job.checkpoints = {{"clean", "<domainsnapshot>ž</domainsnapshot>", true}};
  job.destination_checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job.checkpoints_forgotten = true;
  job.ejected = {known_file("sda", "/iso/a.iso", {})};
  job.ejected_next = {known_file("sda", "", {})};
  job.layers = {known_file("", "/images/base", {1, 2, 3, "boot"})};
  job.unplugged = {"<interface/>"};
  const auto read = source_job_from_json(to_json(job));
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->checkpoints.size(), 1u);
  EXPECT_TRUE(read->checkpoints[0].xml == job.checkpoints[0].xml && read->checkpoints[0].current);
  EXPECT_TRUE(read->destination_checkpoints.size() == 1 && read->checkpoints_forgotten);
  ASSERT_EQ(read->ejected.size(), 1u);
  EXPECT_TRUE(read->ejected[0].target == "sda" && read->ejected[0].path == "/iso/a.iso");
  ASSERT_EQ(read->ejected_next.size(), 1u);
  EXPECT_TRUE(read->ejected_next[0].target == "sda" && read->ejected_next[0].path.empty());
  ASSERT_EQ(read->layers.size(), 1u);
  EXPECT_EQ(identity_of(read->layers[0]), identity_of(job.layers[0]));
  EXPECT_EQ(read->unplugged, job.unplugged);
}

}  // namespace
}  // namespace drover::move
