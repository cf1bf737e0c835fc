// SPDX-License-Identifier: Apache-2.0
#include "move/queue/window_times.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::system_clock::time_point;

// A time zone in which the clocks change, for the time of a test.
class WindowTimesIn : public testing::Test {
 protected:
  void SetUp() override { zone("UTC"); }
  void TearDown() override { zone("UTC"); }
  static void zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  static Time utc(int month, int day, int hour, int minute, int second = 0) {
    using namespace std::chrono;
    return sys_days(year(2026) / month / day) + hours(hour) + minutes(minute) + seconds(second);
  }
};

constexpr DailyWindow kNight{2h, 4h};
constexpr DailyWindow kOverMidnight{23h, 1h};
constexpr const char* kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";  // changes at 02:00 and 03:00

TEST_F(WindowTimesIn, GivesTheOneThatIsOpenOrElseTheNext) {
  EXPECT_EQ(window_at(kNight, utc(5, 1, 1, 0)).opens, utc(5, 1, 2, 0));
  EXPECT_EQ(window_at(kNight, utc(5, 1, 2, 0)).opens, utc(5, 1, 2, 0));
  EXPECT_EQ(window_at(kNight, utc(5, 1, 3, 59, 59)).closes, utc(5, 1, 4, 0));
  EXPECT_EQ(window_at(kNight, utc(5, 1, 4, 0)).opens, utc(5, 2, 2, 0));
  EXPECT_EQ(window_at(kNight, utc(12, 31, 5, 0)).opens, utc(12, 31, 2, 0) + 24h);
}

TEST_F(WindowTimesIn, MayGoOverMidnight) {
  EXPECT_EQ(window_at(kOverMidnight, utc(5, 1, 0, 30)).opens, utc(4, 30, 23, 0));
  EXPECT_EQ(window_at(kOverMidnight, utc(5, 1, 1, 0)).opens, utc(5, 1, 23, 0));
  EXPECT_EQ(window_at(kOverMidnight, utc(5, 1, 23, 30)).closes, utc(5, 2, 1, 0));
}

TEST_F(WindowTimesIn, NothingGoesOutAfterItsLastMoment) {
  const auto night = window_at(kNight, utc(5, 1, 3, 0));
  EXPECT_EQ(last_moment(night), utc(5, 1, 3, 59, 50));
  EXPECT_TRUE(fits_window(night, last_moment(night) - 1s, 0s, true));
  EXPECT_FALSE(fits_window(night, last_moment(night), 0s, true));
}

TEST_F(WindowTimesIn, GoesByTheClockOnTheWallWhenItChanges) {
  zone(kBerlin);
  // 29 March: 02:00 becomes 03:00, which is 01:00 UTC.
  const auto spring = window_at(kNight, utc(3, 29, 0, 0));
  EXPECT_EQ(spring.closes, utc(3, 29, 2, 0)) << "04:00 of summer";
  EXPECT_GE(spring.opens, utc(3, 29, 0, 0));
  EXPECT_LE(spring.opens, utc(3, 29, 1, 0));
  EXPECT_EQ(window_at(kNight, utc(7, 1, 12, 0)).opens, utc(7, 2, 0, 0));
  // 25 October: 03:00 becomes 02:00 again.
  EXPECT_EQ(window_at(kNight, utc(10, 25, 0, 30)).closes, utc(10, 25, 3, 0));
}

TEST_F(WindowTimesIn, AWindowInAnHourThatTheDayLacksOpensTheNextDayAtTheLatest) {
  zone(kBerlin);
  const DailyWindow lost{2h + 10min, 2h + 20min};
  const auto times = window_at(lost, utc(3, 28, 12, 0));
  EXPECT_LT(times.opens, times.closes);
  EXPECT_LE(times.opens, utc(3, 30, 0, 10));
}

TEST_F(WindowTimesIn, MemoryIsCopiedOnlyIfItIsThoughtToEndInTime) {
  const auto night = window_at(kNight, utc(5, 1, 0, 0));
  EXPECT_FALSE(fits_window(night, utc(5, 1, 1, 59, 59), 0s, false));
  EXPECT_TRUE(fits_window(night, utc(5, 1, 2, 0), 0s, false));
  EXPECT_TRUE(fits_window(night, utc(5, 1, 3, 0), 59min, false));
  EXPECT_FALSE(fits_window(night, utc(5, 1, 3, 0), 60min, false)) << "the margin";
  EXPECT_TRUE(fits_window(night, utc(5, 1, 3, 0), 60min, true)) << "it goes on already";
  EXPECT_FALSE(fits_window(night, utc(5, 1, 3, 59, 50), 0s, true)) << "it could not be switched";
  EXPECT_FALSE(fits_window(night, utc(5, 1, 4, 0), 0s, true));
  EXPECT_TRUE(fits_window(night, utc(5, 1, 2, 20), 5h, false)) << "no window is longer";
  EXPECT_FALSE(fits_window(night, utc(5, 1, 2, 40), 5h, false)) << "the next has more room";
}

TEST_F(WindowTimesIn, AShortWindowHasAShortMargin) {
  const auto times = window_at(DailyWindow{2h, 2h + 1min}, utc(5, 1, 0, 0));
  EXPECT_TRUE(fits_window(times, utc(5, 1, 2, 0, 30), 0s, true));
  EXPECT_FALSE(fits_window(times, utc(5, 1, 2, 0, 51), 0s, true));
}

}  // namespace
}  // namespace drover::move
