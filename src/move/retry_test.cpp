// SPDX-License-Identifier: Apache-2.0
#include "move/retry.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

Error error(ErrorCode code, Retry retry = Retry::kNever) { return {code, retry, "It failed.", {}}; }

Move failed(std::size_t before) {
  Move move;
  move.attempts.resize(before);
  return move;
}

const std::chrono::system_clock::time_point kNow{1'700'000'000s};

TEST(Retry, WhatMayPassIsTriedAgain) {
  EXPECT_TRUE(is_passing(error(ErrorCode::kUnavailable), Copied::kNothing));
  EXPECT_TRUE(is_passing(error(ErrorCode::kTimeout), Copied::kNothing));
  EXPECT_TRUE(is_passing(error(ErrorCode::kInternal, Retry::kLater), Copied::kNothing));
  EXPECT_FALSE(is_passing(error(ErrorCode::kInternal), Copied::kSomething));
  EXPECT_TRUE(is_passing(error(ErrorCode::kHypervisor), Copied::kSomething));
  EXPECT_FALSE(is_passing(error(ErrorCode::kHypervisor, Retry::kLater), Copied::kNothing));
}

TEST(Retry, AWordOfAPersonOrAPolicyIsNeverTriedAgain) {
  for (const ErrorCode code : {ErrorCode::kCancelled, ErrorCode::kPolicy, ErrorCode::kBlocked,
                               ErrorCode::kPermission, ErrorCode::kInDoubt, ErrorCode::kNoSpace}) {
    EXPECT_FALSE(is_passing(error(code, Retry::kNow), Copied::kSomething)) << error_code_name(code);
  }
}

TEST(Retry, WaitsLongerEachTimeAndNotForEver) {
  EXPECT_EQ(back_off(1), 5s);
  EXPECT_EQ(back_off(2), 20s);
  EXPECT_EQ(back_off(3), 80s);
  EXPECT_EQ(back_off(4), 300s);
  EXPECT_EQ(back_off(1'000'000), 300s);
}

TEST(Retry, TheRequestsWordGoesBeforeTheSettings) {
  const HostSettings settings;  // 2
  const Error passing = error(ErrorCode::kUnavailable);
  EXPECT_EQ(next_attempt(failed(0), passing, settings, kNow), kNow + 5s);
  EXPECT_EQ(next_attempt(failed(1), passing, settings, kNow), kNow + 20s);
  EXPECT_FALSE(next_attempt(failed(2), passing, settings, kNow));
  Move never = failed(0);
  never.plan.request.retries = 0;
  EXPECT_FALSE(next_attempt(never, passing, settings, kNow));
  Move rehearsal = failed(0);
  rehearsal.plan.request.rehearse = true;
  EXPECT_FALSE(next_attempt(rehearsal, passing, settings, kNow));
  Move elsewhere = failed(0);
  elsewhere.plan.request.candidates = {"host3"};
  EXPECT_FALSE(next_attempt(elsewhere, passing, settings, kNow));
  Move often = failed(2);
  often.plan.request.retries = 3;
  EXPECT_EQ(next_attempt(often, passing, settings, kNow), kNow + 80s);
}

// docs/errors.md says of each code whether it is tried again; a code without its row fails.
TEST(Retry, TheDocumentHasTheTable) {
  const auto text = read_file(DROVER_SOURCE_ROOT "/docs/errors.md");
  ASSERT_TRUE(text) << text.error().text();
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    const bool later = is_passing(error(code, Retry::kLater), Copied::kSomething);
    const bool always = is_passing(error(code), Copied::kNothing);
    const std::string row = "| `" + std::string(error_code_name(code)) + "` | " +
                            (always  ? "yes"
                             : later ? "sometimes"
                                     : "no") +
                            " |";
    EXPECT_NE(text->find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace drover::move
