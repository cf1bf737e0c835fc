// SPDX-License-Identifier: Apache-2.0
#include "gate/write_watch.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gate/xdr.h"

namespace drover::gate {
namespace {

TEST(WriteWatch, BeginsOnEveryDiskThatCanBeWritten) {
  const auto command = begin_watch_command(
      R"({"return":[{"inserted":{"ro":false,"node-name":"one"}},
                    {"inserted":{"ro":true,"node-name":"cdrom"}}, {"removable":true}, 7,
                    {"inserted":{"ro":"false","node-name":"strange"}},
                    {"inserted":{"ro":false,"node-name":["strange"]}},
                    {"inserted":{"ro":false,"node-name":"two"}}]})",
      "k3f9x2qa");
  ASSERT_TRUE(command);
  const auto parsed = nlohmann::json::parse(*command);
  EXPECT_EQ(parsed["execute"], "transaction");
  const auto& actions = parsed["arguments"]["actions"];
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0]["type"], "block-dirty-bitmap-add");
  EXPECT_EQ(actions[0]["data"]["node"], "one");
  EXPECT_EQ(actions[0]["data"]["name"], "drover-k3f9x2qa");
  EXPECT_EQ(actions[0]["data"]["granularity"], 4096);
  EXPECT_EQ(actions[0]["data"]["persistent"], false);
  EXPECT_EQ(actions[1]["data"]["node"], "two");
}

TEST(WriteWatch, BelievesNoStrangeAnswer) {
  for (const char* answer : {"", "[]", "{}", R"({"error":{}})", R"({"return":{}})",
                             R"({"return":[]})", R"({"return":[{"inserted":7}]})"}) {
    EXPECT_FALSE(begin_watch_command(answer, "k3f9x2qa")) << answer;
  }
  EXPECT_TRUE(check_answer(R"({"return":{}})"));
  EXPECT_FALSE(check_answer(R"({"error":{"desc":"Bitmap already exists"}})"));
  EXPECT_FALSE(check_answer("\xff"));
}

// libvirt's remote_nonnull_domain, a string and flags.
TEST(WriteWatch, CallsAsLibvirtDoes) {
  const FinishReply domain{"web1", *parse_uuid("01234567-89ab-cdef-0123-456789abcdef"), 7, ""};
  const RpcPacket call = monitor_call(domain, "{}", 5);
  EXPECT_EQ(call.header.program, 0x20008087u);
  EXPECT_EQ(call.header.procedure, 1);
  XdrReader in(call.payload());
  EXPECT_EQ(in.bytes(100), "web1");
  EXPECT_EQ(in.fixed(16).size(), 16u);
  EXPECT_EQ(in.i32(), 7);
  EXPECT_EQ(in.bytes(100), "{}");
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_TRUE(in.finished());
  EXPECT_EQ(resume_call(domain, 5).payload().size(), 4u + 4 + 16 + 4);
}

TEST(WriteWatch, HoldsAGuestThatWouldRun) {
  FinishCall finish;
  finish.flags = 0x43;
  finish.cookie = "<x/>";
  RpcPacket packet = make_packet({.procedure = 306}, encode(finish));
  EXPECT_TRUE(hold_guest(packet));
  FinishCall held = decode_finish_call(packet.payload()).value();
  EXPECT_EQ(held.flags, 0x63u);
  EXPECT_FALSE(hold_guest(packet)) << "it is paused already";
  held.flags = 0x43;
  EXPECT_EQ(held, finish);
}

}  // namespace
}  // namespace drover::gate
