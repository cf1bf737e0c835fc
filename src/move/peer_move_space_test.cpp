// SPDX-License-Identifier: Apache-2.0
// Files that wait for room at the destination, seen from the source: those that go ahead of a live
// move, and those of an offline one.
#include <atomic>

#include "move/source_road_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class Room : public SourceRoad, public testing::WithParamInterface<MoveKind> {
 protected:
  void SetUp() override {
    SourceRoad::SetUp();
    if (GetParam() == MoveKind::kOffline) make_offline();
    far_end_->open(false);
    peer_.says(verb::kSpace, [this](std::string_view) {
      return to_json(SpaceReply{free_.load(), mib(256), patience_, "/srv"});
    });
  }
  std::atomic<ByteCount> free_{mib(1)};
  std::chrono::seconds patience_ = 1h;
};

TEST_P(Room, IsWaitedForAndThenAllGoesOn) {
  road_.state.on_hold = [this](bool held) -> Status {
    if (held)
      free_ = gib(1);
    else
      far_end_->open(true);
    return {};
  };
  std::vector<std::string> warned;  // each new one
  on_change = [&](const Move& move) {
    const std::string code = move.progress.warning ? move.progress.warning->code : "";
    if (warned.empty() || warned.back() != code) warned.push_back(code);
  };
  const Move move = run();
  EXPECT_EQ(road_.state.told, (std::vector<std::string>{"hold memory", "memory goes on"}));
  EXPECT_EQ(warned, (std::vector<std::string>{"", "SPACE_AWAITED", ""}));
  ASSERT_FALSE(far_end_->streams().empty());
  EXPECT_EQ(far_end_->streams()[0].size(), 100'000u);
  if (GetParam() == MoveKind::kOffline) {
    EXPECT_EQ(move.state, MoveState::kDone) << why(move);
  }
}

TEST_P(Room, ThatNobodyMakesEndsTheMove) {
  patience_ = 0s;
  const Move move = run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.error->code, ErrorCode::kNoSpace);
  EXPECT_TRUE(why(move).contains("/srv on host2 has only 1.0 MiB free")) << why(move);
  EXPECT_EQ(road_.state.told, std::vector<std::string>{"memory goes on"});
  EXPECT_FALSE(move.progress.warning);
  EXPECT_EQ(peer_.asked(verb::kUndo).size(), 1u);
}

// Such a hold does not end by itself: nothing would ever come there.
TEST_P(Room, AHoldWhoseEndIsNotHeardEndsTheAttempt) {
  road_.state.on_hold = [this](bool held) -> Status {
    free_ = gib(1);
    if (held) return {};
    return fail(ErrorCode::kTimeout, "The mover does not answer.");
  };
  const Move move = run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_TRUE(why(move).contains("The mover does not answer")) << why(move);
}

TEST_P(Room, ACancelDoesNotWaitForIt) {
  road_.state.on_hold = [this](bool held) -> Status {
    if (held) (void)work_->cancel();
    return {};
  };
  const Move move = run();
  EXPECT_EQ(move.state, MoveState::kCancelled) << why(move);
  EXPECT_FALSE(move.progress.warning);
}

TEST_P(Room, IsNotAskedForWhereTheDestinationDoesNotKnowTheQuestion) {
  peer_.says(verb::kSpace, [this](std::string_view) -> Result<std::string> {
    far_end_->open(true);
    return fail(ErrorCode::kNotFound, "No such verb.");
  });
  const Move move = run();
  EXPECT_TRUE(road_.state.told.empty());
  EXPECT_EQ(far_end_->streams().at(0).size(), 100'000u) << why(move);
}

INSTANTIATE_TEST_SUITE_P(OfFiles, Room, testing::Values(MoveKind::kLive, MoveKind::kOffline),
                         [](const auto& kind) {
                           return std::string(kind.param == MoveKind::kLive ? "Live" : "Offline");
                         });

}  // namespace
}  // namespace drover::move
