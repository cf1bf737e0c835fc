// SPDX-License-Identifier: Apache-2.0
#include "mover/frame.h"

#include <random>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "mover/frame_reader.h"
#include "mover/hello.h"
#include "mover/limits.h"

namespace drover::mover {
namespace {

using HeaderBytes = std::array<std::uint8_t, kFrameHeaderBytes>;

HeaderBytes bytes_of(const FrameHeader& header) {
  HeaderBytes bytes;
  encode_header(header, bytes);
  return bytes;
}

bool accepted(const FrameHeader& header) { return decode_header(bytes_of(header)).has_value(); }

// One valid header of each type.
std::vector<FrameHeader> valid_headers() {
  return {
      {.type = FrameType::kHello, .length = kHelloBytes},
      {.type = FrameType::kRefused, .length = 4},
      {.type = FrameType::kOpen, .flags = 2, .stream = 2},
      {.type = FrameType::kOpened, .flags = kOpenedYes, .stream = 9},
      {.type = FrameType::kOpened, .flags = kOpenedNo, .stream = 9, .length = 40},
      {.type = FrameType::kData, .stream = 1, .offset = 7, .length = 100, .raw_length = 100},
      {.type = FrameType::kPacked, .stream = 2, .offset = 7, .length = 3, .raw_length = 100},
      {.type = FrameType::kPacked,
       .flags = kPackedLiteral,
       .stream = 2,
       .length = 300,
       .raw_length = 100},
      {.type = FrameType::kMiss, .stream = 2, .offset = 7, .raw_length = 100},
      {.type = FrameType::kFin, .stream = 3, .offset = 1000},
      {.type = FrameType::kStop, .stream = 3},
      {.type = FrameType::kAck,
       .flags = kAckFinApplied,
       .stream = 3,
       .offset = 5,
       .raw_length = 1 << 20},
      {.type = FrameType::kPing, .offset = ~std::uint64_t{0}},
      {.type = FrameType::kPong, .offset = 1},
  };
}

TEST(FrameHeader, SurvivesItsEncoding) {
  for (const FrameHeader& header : valid_headers()) {
    const auto decoded = decode_header(bytes_of(header));
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(*decoded, header);
  }
}

TEST(FrameHeader, UnknownTypesAreRefused) {
  EXPECT_FALSE(decode_header(HeaderBytes{})) << "zeroed memory is no frame";
  for (int type = 13; type < 256; ++type) {
    EXPECT_FALSE(accepted({.type = static_cast<FrameType>(type)}));
  }
}

TEST(FrameHeader, ReservedFieldMustBeZero) {
  for (const FrameHeader& header : valid_headers()) {
    for (const std::size_t at : {2u, 3u}) {
      HeaderBytes bytes = bytes_of(header);
      bytes[at] = 1;
      EXPECT_FALSE(decode_header(bytes));
    }
  }
}

TEST(FrameHeader, LengthAboveTheLimitIsRefused) {
  for (FrameHeader header : valid_headers()) {
    header.length = kPayloadBytesMax + 1;
    if (header.type == FrameType::kData) header.raw_length = header.length;
    EXPECT_FALSE(accepted(header)) << frame_type_name(header.type);
  }
  EXPECT_TRUE(accepted({.type = FrameType::kData,
                        .stream = 1,
                        .length = kPayloadBytesMax,
                        .raw_length = kPayloadBytesMax}));
}

TEST(FrameHeader, DataNeedsBytesOfTheSameCountWithinTheStream) {
  const FrameHeader good{.type = FrameType::kData, .stream = 1, .length = 10, .raw_length = 10};
  EXPECT_TRUE(accepted(good));
  FrameHeader bad = good;
  bad.raw_length = 11;
  EXPECT_FALSE(accepted(bad));
  bad = {.type = FrameType::kData, .stream = 1};
  EXPECT_FALSE(accepted(bad)) << "empty";
  bad = good;
  bad.offset = kOffsetMax - 9;
  EXPECT_FALSE(accepted(bad)) << "beyond the last offset";
  bad.offset = ~std::uint64_t{0} - 5;
  EXPECT_FALSE(accepted(bad)) << "overflow";
}

TEST(FrameHeader, StreamsFlagsAndOffsetsFitTheType) {
  EXPECT_FALSE(accepted({.type = FrameType::kOpen, .flags = 1, .stream = 2}))
      << "rpc is never opened";
  EXPECT_FALSE(accepted({.type = FrameType::kOpen, .flags = 5, .stream = 2}));
  EXPECT_FALSE(accepted({.type = FrameType::kOpen, .flags = 2, .stream = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kOpen, .flags = 2, .stream = 2, .offset = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kOpen, .flags = 2, .stream = 2 + kStreamsEverMax}));
  EXPECT_FALSE(accepted({.type = FrameType::kOpened, .flags = 0, .stream = 2}));
  EXPECT_FALSE(
      accepted({.type = FrameType::kOpened, .flags = kOpenedYes, .stream = 2, .length = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kData, .stream = 0, .length = 1, .raw_length = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kFin, .stream = 1, .length = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kAck, .flags = 2, .stream = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kAck, .stream = 1, .raw_length = kWindowMax + 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kPing, .stream = 1}));
  EXPECT_FALSE(accepted({.type = FrameType::kRefused, .length = 3}));
  EXPECT_FALSE(accepted({.type = FrameType::kHello, .length = kHelloBytes + 1}));
}

TEST(FrameReader, CutsFramesWhereverTheBytesAreSplit) {
  std::vector<std::uint8_t> wire;
  for (const FrameHeader& header : valid_headers()) {
    const HeaderBytes bytes = bytes_of(header);
    wire.insert(wire.end(), bytes.begin(), bytes.end());
    wire.insert(wire.end(), header.length, static_cast<std::uint8_t>(header.length));
  }
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    FrameReader reader(std::make_shared<ChunkPool>());
    std::vector<FrameHeader> got;
    for (std::size_t at = 0; at < wire.size();) {
      const auto space = reader.space();
      const std::size_t n =
          std::min({space.size(), wire.size() - at, std::size_t{1 + random() % 30}});
      std::copy_n(wire.begin() + static_cast<std::ptrdiff_t>(at), n, space.begin());
      at += n;
      auto frame = reader.filled(n);
      ASSERT_TRUE(frame);
      if (!*frame) continue;
      EXPECT_EQ((*frame)->payload.size, (*frame)->header.length);
      got.push_back((*frame)->header);
    }
    EXPECT_EQ(got, valid_headers());
  }
}

TEST(Hello, SurvivesItsEncodingAndRefusesWhatIsOutOfBounds) {
  const Hello hello{.role = Role::kSource,
                    .link = 3,
                    .session = 42,
                    .window_bytes = 16 << 20,
                    .content = 1,
                    .takes_held = true};
  std::array<std::uint8_t, kHelloBytes> bytes;
  encode_hello(hello, bytes);
  EXPECT_EQ(*decode_hello(bytes), hello);
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    auto wrong = bytes;
    wrong[at] = value;
    return !decode_hello(wrong);
  };
  EXPECT_TRUE(refused(2, 0)) << "role";
  EXPECT_TRUE(refused(2, 3)) << "role";
  EXPECT_TRUE(refused(3, 1)) << "reserved";
  EXPECT_TRUE(refused(5, 0)) << "link 0";
  EXPECT_TRUE(refused(5, 65)) << "link 65";
  EXPECT_TRUE(refused(7, 1)) << "reserved";
  EXPECT_TRUE(refused(15, 0)) << "session 0";
  EXPECT_TRUE(refused(16, 0x7f)) << "window";
  EXPECT_TRUE(refused(22, 1)) << "unknown flags";
  EXPECT_TRUE(refused(23, 2)) << "a flag of the destination";
  const Hello answer{.role = Role::kDestination,
                     .link = 3,
                     .session = 43,
                     .window_bytes = 16 << 20,
                     .content = 1,
                     .reads_back = true,
                     .holds = true,
                     .reads_files = true};
  std::array<std::uint8_t, kHelloBytes> answered;
  encode_hello(answer, answered);
  EXPECT_EQ(*decode_hello(answered), answer);
  answered[23] = 8;
  EXPECT_FALSE(decode_hello(answered)) << "unknown flags";
  EXPECT_FALSE(decode_hello(std::span(bytes).first(23)));
  store_be<std::uint16_t>(&bytes[0], 1);
  EXPECT_TRUE(refused(21, 1)) << "version 1 has no content";
}

TEST(Hello, AnUnknownVersionIsReadableAndTheRefusalNamesTheKnownOnes) {
  std::array<std::uint8_t, kHelloBytes> bytes;
  bytes.fill(0xff);
  store_be<std::uint16_t>(&bytes[0], 9);
  const auto hello = decode_hello(bytes);
  ASSERT_TRUE(hello);
  EXPECT_FALSE(version_is_known(hello->version));
  EXPECT_NE(refused_error(encode_refused()).message.find("but 1, 2."), std::string::npos);
  EXPECT_EQ(newest_common_version(encode_refused()), kProtocolVersion);
  const std::array<std::uint8_t, 4> others{0, 9, 0, 1};
  EXPECT_EQ(newest_common_version(others), 1);
  EXPECT_FALSE(newest_common_version(std::span(others).first(2)));
}

TEST(Hello, ContentIsAgreedOnOrOff) {
  EXPECT_EQ(agreed_content(kContentVersion, kContentVersion), kContentVersion);
  EXPECT_EQ(agreed_content(kContentVersion, kNoContent), kNoContent);
  EXPECT_EQ(agreed_content(kContentVersion + 1, kContentVersion), kNoContent);
  EXPECT_EQ(agreed_content(kContentOldest, kContentVersion), kContentOldest);
  EXPECT_EQ(agreed_content(kContentOldest - 1, kContentVersion), kNoContent);
}

}  // namespace
}  // namespace drover::mover
