// SPDX-License-Identifier: Apache-2.0
#include "client/event_parser.h"

#include <gtest/gtest.h>

namespace drover::client {
namespace {

constexpr std::string_view kText =
    ": a comment\n\nevent: state\r\ndata: {\"a\":1}\r\n\r\ndata: x\ndata:y\nid: 7\n\nevent: "
    "none\n\n";

TEST(EventParser, FindsEventsHoweverTheBytesAreCut) {
  for (std::size_t step = 1; step <= kText.size(); ++step) {
    std::string seen;
    EventParser parser([&](const StreamEvent& event) {
      seen += "[" + event.name + "|" + event.body + "]";
      return true;
    });
    for (std::size_t at = 0; at < kText.size(); at += step)
      EXPECT_TRUE(parser.take(kText.substr(at, step)));
    EXPECT_EQ(seen, "[state|{\"a\":1}][|x\ny]") << step;
  }
}

TEST(EventParser, StopsWhenToldAndAtItsBound) {
  EventParser once([](const StreamEvent&) { return false; });
  EXPECT_FALSE(once.take("data: 1\n\ndata: 2\n\n"));
  EventParser bound([](const StreamEvent&) { return true; });
  EXPECT_FALSE(bound.take(std::string(EventParser::kEventBytesMax + 1, 'x')));
  EXPECT_TRUE(bound.too_large());
}

}  // namespace
}  // namespace drover::client
