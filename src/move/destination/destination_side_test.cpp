// SPDX-License-Identifier: Apache-2.0
// The destination's word on who runs the VM, and that it stands over restarts of droverd.
#include "move/destination/destination_side.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/disk_image.h"
#include "move/destination/destination_fixture.h"

namespace drover::move {
namespace {

class DestinationWord : public DestinationFixture {
 protected:
  void SetUp() override {
    DestinationFixture::SetUp();
    pair_with("host3");
  }
  void prepare() { reserve_and_prepare(reservation()); }
  // Prepared, and with an image, behind the back of a droverd that is down.
  std::filesystem::path prepare_with_image() {
    prepare();
    const auto image = folder_ / "disk.qcow2";
    std::ofstream(image) << "disk";
    auto job = job_in_journal();
    auto identity = file_identity(image.string()).value();
    identity.device += 1;  // as written down in an earlier boot, with other numbers
    identity.boot = "an earlier one";
    job.created.push_back(known_file("vda", image.string(), identity));
    save(job);
    return image;
  }
  void run(const char* sql) { ASSERT_TRUE(database_->prepare(sql)->run()); }
  void fill_disk() {
    run("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  }
  void make_room() { run("DROP TRIGGER full"); }
  bool record_is_there() { return records_->destination(kKey).has_value(); }
};

// A guest whose writes were to be watched stands still after FINISH; its gate lets it run.
class HeldGuest : public DestinationWord {
 protected:
  void SetUp() override {
    DestinationWord::SetUp();
    prepare();
    auto job = job_in_journal();
    job.plan.request.verification = Verification::kReadBack;
    job.plan.placements = {{"vda", "/srv/a", "/srv/a", "raw", {}, {}, {}}};
    save(job);
    restart();
    accept();
    guest_runs();
    ASSERT_TRUE(hypervisor_.suspend(kUuid));
    carriage_.state.gate_alive = false;
  }
  bool runs() { return hypervisor_.run_state(kUuid)->kind == RunState::Kind::kRunning; }
};

TEST_F(HeldGuest, IsLetRunIfItsGateEnded) {
  side_->sweep();
  EXPECT_TRUE(runs());
  EXPECT_TRUE(job_in_journal().unwatched) << "a watch that is found later proves nothing";
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

TEST_F(HeldGuest, IsLetRunWhenItsSourceAsks) {
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRuns);
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, WaitsForAGateThatIsAtWork) {
  carriage_.state.gate_alive = true;
  side_->sweep();
  EXPECT_FALSE(runs());
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending);
  carriage_.state.gate.in_doubt = true;
  side_->sweep();
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, IsNotLetRunIfThatCannotBeWrittenDown) {
  fill_disk();
  side_->sweep();
  EXPECT_FALSE(runs());
  make_room();
  side_->sweep();
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, StaysAsAPersonLeftItOnceItRan) {
  ASSERT_TRUE(records_->set_outcome(kKey, {true, 7, ""}));
  side_->sweep();
  EXPECT_FALSE(runs());
}

TEST_F(DestinationWord, AskingRecordsTheRefusalAndLookingDoesNot) {
  prepare();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  EXPECT_FALSE(*records_->decision(kKey));
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_EQ(*records_->decision(kKey), gate::Decision::kRefused);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
}

TEST_F(DestinationWord, WhatItUndidStaysRefusedHoweverLateTheSourceAsks) {
  prepare();
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(record_is_there());
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict);
  EXPECT_EQ(call(verb::kAnswer, "host3").error().code, ErrorCode::kPermission);
}

TEST_F(DestinationWord, AnUndoThatWasBrokenOffIsAnsweredForAndEnded) {
  const auto image = prepare_with_image();
  restart();
  hypervisor_.set_answering(false);  // droverd ends while it waits for the incoming QEMU's end
  EXPECT_FALSE(call(verb::kUndo));
  hypervisor_.set_answering(true);
  ASSERT_TRUE(records_->remove(kKey));
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_TRUE(std::filesystem::exists(image));
  side_->sweep();
  EXPECT_FALSE(std::filesystem::exists(image));
  EXPECT_TRUE(job_in_journal().undone);
}

TEST_F(DestinationWord, NothingIsUndoneBeforeTheJournalSaysSo) {
  const auto image = prepare_with_image();
  restart();
  fill_disk();
  EXPECT_FALSE(call(verb::kUndo));
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_TRUE(record_is_there());
  make_room();
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(std::filesystem::exists(image) || record_is_there());
}

TEST_F(DestinationWord, AGateThatIsSilentIsStoppedBeforeAnythingIsRemoved) {
  const auto image = prepare_with_image();
  restart();
  carriage_.state.stops = fail(ErrorCode::kTimeout, "The gate is silent.");
  EXPECT_FALSE(call(verb::kUndo));
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  carriage_.state.stops = {};
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(std::filesystem::exists(image));
}

TEST_F(DestinationWord, JobsOfEarlierVersionsAreRead) {
  prepare();
  for (const char* member : {"never_ran", "undoing"})
    run(fmt::format("UPDATE jobs SET job = json_remove(job, '$.{}')", member).c_str());
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
}

TEST_F(DestinationWord, NothingIsUndoneUnderAccepted) {
  const auto image = prepare_with_image();
  restart();
  accept();
  guest_runs();
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRuns);
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown) << "its events were missed";
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_TRUE(std::filesystem::exists(image) && record_is_there());
}

TEST_F(DestinationWord, ThatItNeverRanIsRememberedOverARestart) {
  prepare();
  accept();
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending) << "its end was not seen yet";
  side_->take_vm_event({VmEvent::Kind::kStopped, kUuid, "web01"});
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kNo);
  restart();
  const Answer word = answer(verb::kAnswer);
  EXPECT_EQ(word.kind, Answer::Kind::kGone);
  EXPECT_EQ(word.ran, Answer::Ran::kNo);
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(record_is_there());
}

TEST_F(DestinationWord, ThatItNeverRanIsNotSaidBeforeItIsKept) {
  prepare();
  accept();
  side_->take_vm_event({VmEvent::Kind::kStopped, kUuid, "web01"});
  fill_disk();
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending);
  make_room();
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kNo);
}

// This host lost its power just after it had taken the VM, and the definition with it.
TEST_F(DestinationWord, WhatWasAcceptedKeepsItsDefinition) {
  prepare();
  accept();
  restart();
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown);
  EXPECT_EQ(hypervisor_.run_state(kUuid)->kind, RunState::Kind::kOff) << "it can be started here";
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown) << "and that says nothing else";
}

TEST_F(DestinationWord, AMoveIsSettledOnlyOnceItsRecordIsGone) {
  const auto image = prepare_with_image();
  restart();
  accept();
  guest_runs();
  carriage_.state.stops = fail(ErrorCode::kConflict, "libvirt has not answered yet");
  EXPECT_FALSE(settle());
  EXPECT_TRUE(record_is_there()) << "the gate writes the answer there";
  carriage_.state.stops = {};
  fill_disk();
  EXPECT_FALSE(settle());
  EXPECT_FALSE(record_is_there());
  // Without record and without the journal's last word nothing of a VM that is here is undone.
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  make_room();
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_TRUE(settle());
  EXPECT_TRUE(job_in_journal().settled);
  restart();
  EXPECT_TRUE(settle()) << "its source may not have heard";
  EXPECT_EQ(hypervisor_.run_state(kUuid)->kind, RunState::Kind::kRunning);
}

}  // namespace
}  // namespace drover::move
