// SPDX-License-Identifier: Apache-2.0
#include "begin_time.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

std::chrono::system_clock::time_point utc(int day, int hour, int minute) {
  using namespace std::chrono;
  return sys_days(year(2026) / 11 / day) + hours(hour) + minutes(minute);
}

TEST(BeginTime, IsReadInEachOfItsForms) {
  ::setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
  ::tzset();
  const auto now = utc(21, 12, 0) + 30s;  // 13:00:30 there
  EXPECT_EQ(parse_begin_time("13:30", now).value(), utc(21, 12, 30));
  EXPECT_EQ(parse_begin_time("13:00", now).value(), utc(22, 12, 0)) << "today's is over";
  EXPECT_EQ(parse_begin_time("00:00", now).value(), utc(21, 23, 0));
  EXPECT_EQ(parse_begin_time("+30m", now).value(), now + 30min);
  EXPECT_EQ(parse_begin_time("+2h", now).value(), now + 2h);
  EXPECT_EQ(parse_begin_time("2026-11-30T02:00", now).value(), utc(30, 1, 0));
  EXPECT_EQ(parse_begin_time("2026-11-30T02:00:00Z", now).value(), utc(30, 2, 0));
  ::setenv("TZ", "UTC", 1);
  ::tzset();
}

TEST(BeginTime, NothingElseIsOne) {
  for (const char* wrong :
       {"", "2", "2:00", "24:00", "12:60", "ab:cd", "+", "+m", "+5", "+5s", "+-5m", "+9999999999h",
        "+999999h", "2026-02-30T02:00", "2026-11-22 02:00", "tomorrow", "1999-01-01T00:00"}) {
    const auto time = parse_begin_time(wrong, utc(21, 12, 0));
    ASSERT_FALSE(time) << wrong;
    EXPECT_EQ(time.error().code, ErrorCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace drover::cli
