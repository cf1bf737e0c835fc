// SPDX-License-Identifier: Apache-2.0
#include "net/dial.h"

#include <gtest/gtest.h>

namespace drover::net {
namespace {

using namespace std::chrono_literals;

TEST(Address, ReadsNamesPortsAndBrackets) {
  const auto text = [](std::string_view in) {
    const auto address = read_address(in, kApiPort);
    return address ? fmt::format("{} {}", address->host, address->port) : address.error().message;
  };
  EXPECT_EQ(text("host1"), "host1 7430");
  EXPECT_EQ(text("host1:99"), "host1 99");
  EXPECT_EQ(text("10.0.0.2"), "10.0.0.2 7430");
  EXPECT_EQ(text("fe80::1"), "fe80::1 7430");
  EXPECT_EQ(text("[fe80::1]"), "fe80::1 7430");
  EXPECT_EQ(text("[fe80::1%eth0]:80"), "fe80::1%eth0 80");
  for (const auto* bad : {"", ":80", "host:", "host:0", "host:65536", "host:8x", "[::1", "[::1]x",
                          "[::1]:", "a b", "a/b", "user@host"}) {
    EXPECT_FALSE(read_address(bad, kApiPort)) << bad;
  }
}

TEST(Address, IsWrittenWithThePortOnlyWhereItDiffers) {
  EXPECT_EQ(address_text({"host1", 7430}, 7430), "host1");
  EXPECT_EQ(address_text({"host1", 80}, 7430), "host1:80");
  EXPECT_EQ(address_text({"::1", 80}, 7430), "[::1]:80");
  EXPECT_EQ(address_text({"::1", 7430}, 7430), "::1");
}

TEST(Dial, ReachesAListenerOnAnyPort) {
  const auto listener = listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener) << listener.error().text();
  EXPECT_TRUE(dial_tcp(*local_address(listener->get()), Deadline::after(2s)));
}

TEST(Dial, SaysWhatWasRefusedAndWhatToCheck) {
  Address address;
  {
    const auto listener = listen_tcp({"127.0.0.1", 0});
    address = *local_address(listener->get());
  }
  const auto error = dial_tcp(address, Deadline::after(2s)).error();
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(error.retry, Retry::kLater);
  EXPECT_EQ(
      error.message,
      fmt::format("127.0.0.1:{0} does not answer (connection refused). Is droverd running and "
                  "TCP {0} open there?",
                  address.port));
}

}  // namespace
}  // namespace drover::net
