// SPDX-License-Identifier: Apache-2.0
#include "json/fit_json.h"

#include <gtest/gtest.h>

namespace drover::json {
namespace {

using namespace std::chrono_literals;

const Time kAt(1'700'000'000s);

template <typename T>
void expect_round_trip(const T& value) {
  const auto tree = encode(value);
  T back;
  const auto status = decode(tree, "", Unknown::kRefuse, back);
  ASSERT_TRUE(status) << status.error().text() << "\n" << tree.dump();
  EXPECT_EQ(encode(back), tree);
}

AppliedFix full_fix() {
  return {"k3f9x2qa",    "MEDIA_INSERTED", "sda", "host1", "f1", "web01", "Ejected a.iso.",
          "Inserts it.", "/iso/a.iso",     "",    "alice", kAt,  kAt + 5s};
}

TEST(FitJson, EveryValueSurvivesARoundTrip) {
  expect_round_trip(full_fix());
  expect_round_trip(AppliedFix{});
  expect_round_trip(CpuCompat{"f1",
                              "web01",
                              {"host1", "host2"},
                              "host-model",
                              "EPYC",
                              {"+pcid"},
                              {"avx512f"},
                              true,
                              true,
                              "k3f9x2qa"});
  const Finding finding{"DISK_LUN", FindingLevel::kBlocker, "sda", "It is so.", "Why.", {}};
  expect_round_trip(Mobility{
      {VmMobility{"f1",
                  "web01",
                  "host1",
                  VmState::kRunning,
                  "k3f9x2qa",
                  {MobilityPlace{"host2", MoveKind::kQuick, true, {"A"}, {finding}, "text"}},
                  {"host2"},
                  MobilityChange{finding, {"host3"}}}},
      {{"host4", Error{ErrorCode::kUnavailable, Retry::kLater, "It is silent.", {}}}}});
  expect_round_trip(Mobility{});
}

TEST(FitJson, AFixOfTheJournalIsReadAgain) {
  const auto back = applied_fix_from_json(to_json(full_fix()), Unknown::kIgnore);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->undone_at, kAt + 5s);
  EXPECT_FALSE(applied_fix_from_json("{}", Unknown::kIgnore));
}

}  // namespace
}  // namespace drover::json
