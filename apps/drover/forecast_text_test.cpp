// SPDX-License-Identifier: Apache-2.0
#include "forecast_text.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "cli_test_values.h"
#include "move_text.h"
#include "plan_text.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

Forecast sample_forecast() {
  Forecast made;
  made.strategies = {{"compress", mib(660), 8s, 10s, 12s, 200ms, 97},
                     {"direct", mib(1200), 11s, 14s, 17s, 150ms, 99},
                     {"quick", mib(640), 7s, 9s, 11s, 4s, 100}};
  made.dirty_rate = BytesPerSecond{mib(3).bytes};
  made.link_rate = {mib(112).bytes};
  made.memory = gib(1);
  made.disks = mib(559);
  made.learnt_from = 4;
  return made;
}

TEST(ForecastText, APlanShowsTheRangeTheBasisAndTheOtherStrategies) {
  Plan plan = sample_plan();
  EXPECT_EQ(forecast_text(plan), "");
  plan.forecast = sample_forecast();
  const std::string text = forecast_text(plan);
  EXPECT_EQ(text, R"(  It will take 8.0 s to 12.0 s, a pause of 200 ms, 660 MiB on the wire.
  From 1.0 GiB of memory in use, 3.0 MiB/s of it changed, 559 MiB of disks, a link of 112 MiB/s, 4 earlier moves.

  STRATEGY              TIME   PAUSE     WIRE  CONVERGES
  compress   8.0 s to 12.0 s  200 ms  660 MiB       97 %
  direct    11.0 s to 17.0 s  150 ms  1.2 GiB       99 %
  quick      7.0 s to 11.0 s   4.0 s  640 MiB      100 %
)") << text;
  EXPECT_NE(plan_text(plan).find("It will take"), std::string::npos);
}

TEST(ForecastText, WhatIsChangedAgainAndAgainIsSaid) {
  Plan plan = sample_plan();
  plan.forecast = sample_forecast();
  plan.forecast->dirty_set = mib(24);
  const std::string text = forecast_text(plan);
  EXPECT_NE(text.find("3.0 MiB/s of it changed, the same 24 MiB again and again, 559 MiB of disks"),
            std::string::npos)
      << text;
}

TEST(ForecastText, ASmallChanceIsSaidAndSoIsWhatCouldNotBeMeasured) {
  Plan plan = sample_plan();
  plan.forecast = sample_forecast();
  plan.forecast->strategies.resize(1);
  plan.forecast->strategies[0].converges_percent = 5;
  plan.forecast->notes = {"The way to host2 could not be measured.\x1b[2J"};
  const std::string text = forecast_text(plan);
  EXPECT_NE(text.find("is 5 %: see drover move --convergence"), std::string::npos) << text;
  EXPECT_NE(text.find("could not be measured"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("STRATEGY"), std::string::npos) << "there is only one";
}

TEST(ForecastText, AReportHasForecastAndOutcomeSideBySide) {
  Move move = finished_move();
  EXPECT_EQ(report_text(move, {}).find("forecast"), std::string::npos);
  EXPECT_EQ(comparison_text({move}), "No move that had a forecast has ended yet.\n");
  move.plan.forecast = sample_forecast();
  EXPECT_NE(report_text(move, {}).find("8.0 s to 12.0 s, a pause of 200 ms"), std::string::npos);
  const std::string text = comparison_text({move, sample_move()});
  EXPECT_NE(text.find("-17 %"), std::string::npos) << "10 s forecast, 12 s worked: " << text;
  EXPECT_NE(text.find("200 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("66 ms"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << "the one under way has no outcome";
}

}  // namespace
}  // namespace drover::cli
