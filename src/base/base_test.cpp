// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include <gtest/gtest.h>

#include "base/bounded_queue.h"
#include "base/byte_count.h"
#include "base/error.h"
#include "base/file.h"
#include "base/random.h"

namespace drover {
namespace {

using namespace std::chrono_literals;

TEST(Error, NamesAreStableBothWays) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(error_code_from_name(error_code_name(code)), code);
  }
}

TEST(Error, WrapKeepsTheFormerMessageAsFirstCause) {
  const Error inner = fail(ErrorCode::kTimeout, "No answer.").error();
  const Error outer = wrap(inner, "Cannot reserve on host2.");
  EXPECT_EQ(outer.code, ErrorCode::kTimeout);
  EXPECT_EQ(outer.text(), "Cannot reserve on host2. (No answer.)");
}

TEST(ByteCount, IsReadAndWrittenInBinaryUnits) {
  EXPECT_EQ(parse_byte_count("512M")->bytes, 512u << 20);
  EXPECT_EQ(parse_byte_count("1.5GiB")->bytes, 3u << 29);
  EXPECT_EQ(to_text(ByteCount{1536}), "1.5 KiB");
  EXPECT_FALSE(parse_byte_count("12 parsecs"));
  EXPECT_FALSE(parse_byte_count("-1"));
  EXPECT_FALSE(parse_byte_count(""));
}

TEST(BoundedQueue, MakesThePusherWaitForRoom) {
  BoundedQueue<int> queue(8, 100);
  ASSERT_TRUE(queue.push(1, 60));
  EXPECT_FALSE(queue.push(2, 60, Deadline::after(5ms)));
  std::jthread popper([&] { EXPECT_EQ(queue.pop(), 1); });
  EXPECT_TRUE(queue.push(3, 60));
}

TEST(BoundedQueue, GivesWhatIsLeftAfterClose) {
  BoundedQueue<int> queue(8, 100);
  ASSERT_TRUE(queue.push(1, 1));
  queue.close();
  EXPECT_FALSE(queue.push(2, 1));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(Hex, RoundTripsAndRefusesJunk) {
  const std::vector<std::uint8_t> bytes{0x00, 0xab, 0xff};
  EXPECT_EQ(*from_hex(to_hex(bytes)), bytes);
  EXPECT_FALSE(from_hex("0g"));
  EXPECT_FALSE(from_hex("abc"));
}

TEST(File, WritesDurablyAndReadsBack) {
  const auto folder = std::filesystem::temp_directory_path() / ("drover-base-" + random_name(8));
  ASSERT_TRUE(make_folder(folder, 0700));
  ASSERT_TRUE(write_file_durably(folder / "a", "first", 0600));
  ASSERT_TRUE(write_file_durably(folder / "a", "second", 0600));
  EXPECT_EQ(*read_file(folder / "a"), "second");
  EXPECT_FALSE(read_file(folder / "a", 3));
  EXPECT_EQ(read_file(folder / "b").error().code, ErrorCode::kNotFound);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace drover
