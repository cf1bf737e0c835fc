// SPDX-License-Identifier: Apache-2.0
#include "move/plan/measure.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

TEST(Measure, QuestionsAndAnswersSurviveARoundTrip) {
  const MeasureRequest request{"u", {"/a", "/b"}, 10};
  const auto back = measure_request_from_json(to_json(request));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->vm_uuid, "u");
  EXPECT_EQ(back->folders, request.folders);
  const MeasureReply reply{{7}, mib(1), mib(2), std::chrono::seconds(3)};
  const auto answer = measure_reply_from_json(to_json(reply));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->write.value, 7u);
  EXPECT_EQ(answer->held_disks, mib(1));
  EXPECT_EQ(answer->held_memory, mib(2));
  EXPECT_EQ(answer->age, std::chrono::seconds(3));
}

// The API takes bodies of 4 MiB.
TEST(Measure, BodiesStayBelowWhatTheApiTakes) {
  EXPECT_LT(to_json(MeasureRequest{{}, {}, std::size_t{1} << 40}).size(), 4u << 20);
  EXPECT_GT(to_json(MeasureRequest{{}, {}, kPaddingMax}).size(), kPaddingMax);
}

TEST(Measure, WhatAPeerSaysIsNotTrustedToHaveAnyShape) {
  for (const char* text : {"", "[]", "{}", R"({"vm":1,"folders":[]})", R"({"vm":"","folders":[1]})",
                           R"({"vm":"","folders":"/"})"}) {
    EXPECT_FALSE(measure_request_from_json(text)) << text;
  }
  EXPECT_FALSE(measure_reply_from_json("{}"));
  EXPECT_FALSE(measure_reply_from_json(
      R"({"write_bytes_per_second":-1,"held_disks_bytes":0,"held_memory_bytes":0,"age_seconds":0})"));
  const auto old = measure_reply_from_json(
      R"({"write_bytes_per_second":1,"held_disks_bytes":0,"held_memory_bytes":0,"age_seconds":18446744073709551615})");
  ASSERT_TRUE(old);
  EXPECT_GT(old->age.count(), 0);
}

}  // namespace
}  // namespace drover::move
