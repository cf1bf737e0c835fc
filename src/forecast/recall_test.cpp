// SPDX-License-Identifier: Apache-2.0
#include "forecast/recall.h"

#include <functional>

#include <gtest/gtest.h>

#include "forecast/forecast_fixture.h"

namespace drover::forecast {
namespace {

using namespace std::chrono_literals;

class Recall : public testing::Test {
 protected:
  void SetUp() override {
    move_.plan.request.destination = "host2";
    move_.plan.networks = {{"any", "10.0.0.1", "10.0.0.2"}};
    move_.plan.made_at = now_ - 2h;
    move_.ended_at = now_ - 1h;
    move_.report->passes = {{1, {}, {}, mib(512), {9'000'000}, 0, 0, 0},
                            {2, {}, {}, mib(20), {5'000'000}, 0, 0, 0}};
  }
  std::optional<AgedRate> link() const {
    Plan plan;
    plan.request.destination = "host2";
    plan.networks = {{"any", "10.0.0.9", "10.0.0.2"}};
    return recall_link(plan, std::vector<Move>{move_}, now_);
  }
  std::optional<AgedRate> dirtying() const {
    return recall_dirtying(kVm, std::vector<Move>{move_}, now_);
  }

  const std::chrono::system_clock::time_point now_ =
      std::chrono::system_clock::time_point(std::chrono::hours(500'000));
  Move move_ = finished(gigabit_scene(), {});
};

TEST_F(Recall, AWayIsAsItWasMeasuredForAnEarlierMove) {
  ASSERT_TRUE(link());
  EXPECT_EQ(link()->rate.value, kGigabit.value);
  EXPECT_EQ(link()->age, 2h);
  move_.plan.forecast->link_age = 3h;  // that move recalled it too
  EXPECT_EQ(link()->age, 5h) << "it grows no younger by being taken again and again";
}

TEST_F(Recall, AnotherWayOrOneThatWasNotMeasuredOfLateIsNotKnown) {
  const struct {
    const char* what;
    std::function<void(Move&)> change;
  } rows[] = {
      {"another host", [](Move& move) { move.plan.request.destination = "host3"; }},
      {"another network", [](Move& move) { move.plan.networks[0].destination_address = "::1"; }},
      {"one network more", [](Move& move) { move.plan.networks.emplace_back(); }},
      {"not measured", [](Move& move) { move.plan.forecast->link_rate = {}; }},
      {"no forecast", [](Move& move) { move.plan.forecast.reset(); }},
      {"too long ago", [](Move& move) { move.plan.made_at -= 23h; }},
      {"too long ago when it was taken", [](Move& move) { move.plan.forecast->link_age = 23h; }},
      {"the clock was set back", [](Move& move) { move.plan.made_at += 3h; }}};
  for (const auto& row : rows) {
    const Move before = move_;
    row.change(move_);
    EXPECT_FALSE(link()) << row.what;
    move_ = before;
  }
}

TEST_F(Recall, AGuestIsAsItsLastPassShowedIt) {
  ASSERT_TRUE(dirtying());
  EXPECT_EQ(dirtying()->rate.value, 5'000'000u);
  EXPECT_EQ(dirtying()->age, 1h);
  move_.ended_at = now_ - 25h;
  EXPECT_FALSE(dirtying()) << "too long ago";
  move_.ended_at = now_ - 1h;
  move_.report->passes.back().dirtied = {};
  EXPECT_FALSE(dirtying()) << "it was over before QEMU knew";
  move_.report->passes.clear();
  EXPECT_FALSE(dirtying());
  EXPECT_FALSE(recall_dirtying("other", std::vector<Move>{move_}, now_));
}

}  // namespace
}  // namespace drover::forecast
