// SPDX-License-Identifier: Apache-2.0
// Files that a move sends as they are, seen from its source.
#include <array>

#include "base/file.h"
#include "hypervisor/disk_image.h"
#include "move/source_road_fixture.h"
#include "net/digest.h"

namespace drover::move {
namespace {

Result<std::string> cannot_write(std::string_view) {
  Answer answer{Answer::Kind::kPending, {}, 0, "it still comes"};
  answer.failed = Error{ErrorCode::kNoSpace, Retry::kLater, "No space left on device", {}};
  return to_json(answer);
}

TEST_F(SourceRoad, LayersGoAheadOfALiveMoveInTheirOrder) {
  const std::string middle = write("middle", std::string(300'000, 'm'));
  job_.move.plan.files.push_back({"vda", here("middle"), "/srv/middle", "raw", mib(8), mib(1), {}});
  const Move move = run();
  EXPECT_EQ(far_end_->streams(), (std::vector{*read_file(here("base")), middle}));
  std::vector<std::string> compared;
  for (const std::string& body : peer_.asked(verb::kFile))
    compared.push_back(file_request_from_json(body)->digest);
  EXPECT_EQ(compared,
            (std::vector{net::sha256_hex(*read_file(here("base"))), net::sha256_hex(middle)}));
  EXPECT_TRUE(why(move).contains("So far")) << why(move);
  EXPECT_EQ(move.progress.disks.done, ByteCount{}) << "nothing of a disk has gone out";
  EXPECT_EQ(peer_.asked(verb::kUndo).size(), 1u);
}

// Everything that an offline move sends, to its end.
TEST_F(SourceRoad, AnOfflineMoveSaysWhatItSent) {
  make_offline();
  job_.move.plan.vm.nvram_path = here("vars");
  job_.move.plan.nvram_destination = "/srv/vars";
  const std::vector<std::string> sent{*read_file(here("base")), *read_file(here("top")),
                                      write("vars", "UEFI")};
  const Move move = run();
  EXPECT_EQ(move.state, MoveState::kDone) << why(move);
  EXPECT_EQ(far_end_->streams(), sent);
  const auto arrived = arrive_request_from_json(peer_.asked(verb::kArrive).at(0));
  ASSERT_TRUE(arrived);
  const std::array items{"file /srv/base", "image vda", "nvram"};
  ASSERT_EQ(arrived->files.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(arrived->files[i].item, items[i]);
    EXPECT_EQ(arrived->files[i].sha256, net::sha256_hex(sent[i])) << items[i];
  }
  EXPECT_EQ(move.report->disks_sent, ByteCount{sent[0].size() + sent[1].size()});
}

// Whatever lies at a path by now: what is sent is what the plan saw.
TEST_F(SourceRoad, ALayerThatWasReplacedIsNotSent) {
  for (const MoveKind kind : {MoveKind::kLive, MoveKind::kOffline}) {
    if (kind == MoveKind::kOffline) make_offline();
    job_.layers = {known_file("", here("base"), *file_identity(here("base")))};
    write("other", *read_file(here("base")));
    std::filesystem::rename(here("other"), here("base"));
    const Move move = run();
    EXPECT_EQ(move.state, MoveState::kFailed);
    EXPECT_EQ(move.error->code, ErrorCode::kConflict);
    EXPECT_TRUE(why(move).contains(here("base") + " is another file")) << why(move);
    EXPECT_TRUE(far_end_->streams().empty());
  }
}

TEST_F(SourceRoad, AFileThatIsThereAlreadyIsReadOnlyIfItIsThePlans) {
  job_.move.plan.files[0].present = true;
  job_.layers = {known_file("", here("base"), *file_identity(here("base")))};
  EXPECT_TRUE(why(run()).contains("So far"));
  ASSERT_EQ(peer_.asked(verb::kFile).size(), 1u);
  write("other", "another");
  std::filesystem::rename(here("other"), here("base"));
  EXPECT_TRUE(why(run()).contains("is another file"));
  EXPECT_EQ(peer_.asked(verb::kFile).size(), 1u);
}

TEST_F(SourceRoad, WhatTheDestinationCannotWriteItTells) {
  far_end_->break_off();
  peer_.says(verb::kLook, cannot_write);
  const Move move = run();
  EXPECT_EQ(move.error->code, ErrorCode::kNoSpace);
  EXPECT_TRUE(why(move).contains("/srv/base") && why(move).contains("host2")) << why(move);
}

// All was taken, and then its disk failed: the count never comes to all of it.
TEST_F(SourceRoad, WhatWasTakenAndIsNotWrittenEndsTheAttempt) {
  road_.state.on_wire = [this] {
    WireCount wire = far_end_->wire();
    wire.memory_applied = {};
    return wire;
  };
  peer_.says(verb::kLook, cannot_write);
  const Move move = run();
  EXPECT_EQ(move.error->code, ErrorCode::kNoSpace) << why(move);
  EXPECT_TRUE(peer_.asked(verb::kFile).empty());
}

TEST_F(SourceRoad, AStreamThatIsBrokenOffIsToldWithItsFile) {
  write("base", std::string(8 << 20, 'b'));  // more than sockets hold
  far_end_->break_off();
  const Move move = run();
  EXPECT_EQ(move.error->code, ErrorCode::kInternal);
  EXPECT_EQ(move.error->retry, Retry::kLater);
  EXPECT_TRUE(why(move).contains(here("base"))) << why(move);
}

// The other side's end closes as well then; what made it do so is what is told.
TEST_F(SourceRoad, TheFirstThingThatWentWrongIsTold) {
  far_end_->break_off();
  road_.state.events = {{CarrierEvent::Kind::kLinkLost, false, "A link broke."},
                        {CarrierEvent::Kind::kGaveUp, false, "No link for 120 s."},
                        {CarrierEvent::Kind::kMoverGone, false, ""}};
  const Move move = run();
  EXPECT_EQ(move.error->code, ErrorCode::kTimeout);
  EXPECT_TRUE(why(move).contains("No link for 120 s")) << why(move);
}

TEST_F(SourceRoad, ADestinationThatHasGivenUpIsNotWaitedFor) {
  far_end_->open(false);
  road_.state.on_wire = [] { return WireCount{}; };  // no link is up
  peer_.says(verb::kLook, [](std::string_view) {
    return to_json(Answer{Answer::Kind::kRefused, {}, 0, "host2 gave the move up"});
  });
  const Move move = run();
  EXPECT_EQ(move.error->code, ErrorCode::kUnavailable);
  EXPECT_TRUE(why(move).contains("host2 gave the move up")) << why(move);
}

TEST_F(SourceRoad, ACancelEndsWhatIsBeingSent) {
  far_end_->open(false);
  on_change = [this](const Move& move) {
    if (move.phase == Phase::kPrepare && move.state == MoveState::kRunning) (void)work_->cancel();
  };
  const Move move = run();
  EXPECT_EQ(move.state, MoveState::kCancelled) << why(move);
  EXPECT_EQ(peer_.asked(verb::kUndo).size(), 1u);
}

}  // namespace
}  // namespace drover::move
