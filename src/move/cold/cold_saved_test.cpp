// SPDX-License-Identifier: Apache-2.0
// The memory of a VM that is off, at its source: it comes back with the definition, and only to the
// disks that it was saved with.
#include <fstream>

#include "hypervisor/disk_image.h"
#include "move/cold/cold_move_fixture.h"
#include "move/image_fence.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
using Kind = Answer::Kind;
using Ran = Answer::Ran;

// It was put aside, and libvirt has forgotten the VM.
class SavedSource : public ColdMoveSwitch {
 protected:
  void SetUp() override {
    ColdMoveSwitch::SetUp();
    fs::create_directories(folder_ / "saves");
    hypervisor_.saved_folder = (folder_ / "saves").string();
    std::ofstream(place()) << "memory";
    image_ = give_disk();
    job_.move.plan.vm.saved = true;
    job_.move.plan.request.verification = Verification::kNone;
    job_.files = {known_file("saved", place(), *file_identity(place()))};
    job_.saved_images = *stamp_images(job_.move.plan);
    ASSERT_TRUE(quarantine_image(place(), identity_of(job_.files[0]), kMove));
    record(gate::SourceState::kSwitching);
  }
  std::string place() const { return (folder_ / "saves/web01.save").string(); }
  std::string aside() const { return quarantine_path(place(), kMove); }

  fs::path image_;
};

TEST_F(SavedSource, ARefusalBringsItsMemoryBackBeforeItsDefinition) {
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  bool was_there = false;
  hypervisor_.on_define = [&] { was_there = fs::exists(place()); };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed) << move.explanation;
  EXPECT_TRUE(was_there) << "or somebody may boot it without";
  EXPECT_EQ(hypervisor_.defined.size(), 1u);
  EXPECT_FALSE(fs::exists(aside()));
}

// droverd ended between the two.
TEST_F(SavedSource, WhatIsBackStaysThere) {
  ASSERT_TRUE(restore_image(place(), identity_of(job_.files[0]), kMove));
  job_.migrate_called = false;
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(fs::exists(place()));
}

TEST_F(SavedSource, ItIsNotGivenBackToDisksThatWereWrittenSince) {
  std::ofstream(image_) << "newer content";
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kParked);
  EXPECT_TRUE(hypervisor_.defined.empty());
  EXPECT_TRUE(fs::exists(aside()) && !fs::exists(place()));
  for (const std::string& word : {image_.string(), aside(), std::string("drover resolve k3f9x2qa")})
    EXPECT_TRUE(move.explanation.contains(word)) << move.explanation;
}

TEST_F(SavedSource, OfANetworkDiskNobodyKnowsAfterARestart) {
  job_.move.plan.placements = {
      {"vda", "nbd://10.0.0.9/web01", "nbd://10.0.0.9/web01", "raw", mib(1), {}, {}, true}};
  job_.saved_images.clear();
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  EXPECT_EQ(resume().state, MoveState::kParked);
  EXPECT_TRUE(fs::exists(aside()));
}

// droverd had died before libvirt forgot it, and with it the locks.
TEST_F(SavedSource, AVmThatWasStartedMeanwhileDoesNotGetItsOldMemory) {
  job_.migrate_called = false;
  hypervisor_.kind = RunState::Kind::kRunning;
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_TRUE(fs::exists(aside()) && !fs::exists(place()));
  EXPECT_TRUE(move.explanation.contains(aside())) << move.explanation;
}

TEST_F(SavedSource, MemoryThatSomebodyHasRemovedHoldsNothingUp) {
  fs::remove(aside());
  answer({Kind::kRefused, {}, 0, "host2 recorded a refusal"});
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.defined.size(), 1u);
  EXPECT_TRUE(move.explanation.contains("removed")) << move.explanation;
}

TEST_F(SavedSource, ItGoesToQuarantineWithTheDisks) {
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  EXPECT_EQ(resume().state, MoveState::kDone);
  const auto kept = *journal_->quarantine();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].original_path, place());
  EXPECT_EQ(kept[0].kept_path, aside());
  EXPECT_EQ(kept[0].allocated, ByteCount{6});
  EXPECT_TRUE(fs::exists(aside()) && !fs::exists(place()));
}

TEST_F(SavedSource, NothingOfItStaysWhereNothingShallStay) {
  job_.move.plan.request.disposal = SourceDisposal::kDeleteNow;
  answer({Kind::kRuns, Ran::kYes, 0, "it is on host2"});
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_TRUE(fs::is_empty(folder_ / "saves"));
}

}  // namespace
}  // namespace drover::move
