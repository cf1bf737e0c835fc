// SPDX-License-Identifier: Apache-2.0
#include "place/verbs.h"

#include <gtest/gtest.h>

namespace drover::place {
namespace {

TEST(BringRequest, TravelsAsItIs) {
  const BringRequest request{"u1", {"VM_PAUSED"}, "alice", true};
  const auto read = bring_request_from_json(to_json(request));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->vm, "u1");
  EXPECT_EQ(read->accepted_codes, request.accepted_codes);
  EXPECT_EQ(read->requested_by, "alice");
  EXPECT_TRUE(read->only_check);
}

// A request to begin must never be read out of one that only asks.
TEST(BringRequest, NeedsEveryMember) {
  EXPECT_FALSE(bring_request_from_json(R"({"vm":"u1","accepted_codes":[],"requested_by":"a"})"));
  EXPECT_FALSE(bring_request_from_json("[]"));
}

TEST(MoveView, TellsWhyAMoveFailedOrWaits) {
  Move move;
  move.id = "m1";
  move.state = MoveState::kFailed;
  move.explanation = "It was undone.";
  move.error = Error{ErrorCode::kUnavailable, Retry::kLater, "host2 does not answer.", {}};
  MoveView view = view_of(move);
  EXPECT_NE(view.explanation.find("host2 does not answer."), std::string::npos);
  EXPECT_FALSE(view.queued);
  const auto read = move_view_from_json(to_json(view));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->state, MoveState::kFailed);
  EXPECT_EQ(read->explanation, view.explanation);

  move = {};
  move.queue.emplace().waits_for = "host2 is full.";
  view = view_of(move);
  EXPECT_TRUE(view.queued);
  EXPECT_EQ(view.explanation, "host2 is full.");
}

}  // namespace
}  // namespace drover::place
