// SPDX-License-Identifier: Apache-2.0
#include "gate/migration_calls.h"

#include <gtest/gtest.h>

#include "gate/xdr.h"

namespace drover::gate {
namespace {

std::vector<TypedParam> every_type() {
  return {{"a", std::int32_t{-1}},
          {"b", std::uint32_t{2}},
          {"c", std::int64_t{-3}},
          {"d", std::uint64_t{1} << 63},
          {"e", 0.5},
          {"f", true},
          {"destination_xml", std::string("<domain/>")}};
}

// Every strict beginning of a valid payload, and one byte more, must be refused.
template <typename Decode>
void expect_only_whole(const Bytes& payload, Decode decode) {
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_FALSE(decode(std::span(payload).first(size))) << size;
  }
  Bytes longer = payload;
  longer.push_back(0);
  EXPECT_FALSE(decode(longer));
}

TEST(PrepareCall, SurvivesARoundTrip) {
  const PrepareCall call{every_type(), std::string("<cookie/>\0", 10), 0x43};
  const Bytes payload = encode(call);
  EXPECT_EQ(*decode_prepare_call(payload), call);
  expect_only_whole(payload, decode_prepare_call);
}

TEST(FinishCall, SurvivesARoundTrip) {
  const FinishCall call{every_type(), "", 0x4b, true};
  const Bytes payload = encode(call);
  EXPECT_EQ(*decode_finish_call(payload), call);
  expect_only_whole(payload, decode_finish_call);
}

TEST(Replies, SurviveARoundTrip) {
  const PrepareReply prepared{"cookie", "unix:///x"};
  EXPECT_EQ(*decode_prepare_reply(encode(prepared)), prepared);
  FinishReply finished{"web1", {}, 17, "c"};
  finished.uuid[3] = 9;
  const Bytes payload = encode(finished);
  EXPECT_EQ(*decode_finish_reply(payload), finished);
  expect_only_whole(payload, decode_finish_reply);
}

TEST(RpcError, SurvivesARoundTrip) {
  const RpcError error{kErrAccessDenied, kFromRpc, "no", 2};
  EXPECT_EQ(*decode_error(encode(error)), error);
  expect_only_whole(encode(error), decode_error);
}

TEST(RpcError, ReadsDomainAndNetwork) {
  XdrWriter out;
  out.i32(93);
  out.i32(10);
  out.boolean(true);
  out.bytes("text");
  out.i32(2);
  out.boolean(true);
  out.bytes("web1");
  out.fixed(std::string(16, 'u'));
  out.i32(3);
  for (int i = 0; i < 3; ++i) out.boolean(false);
  out.i32(0);
  out.i32(0);
  out.boolean(true);
  out.bytes("net");
  out.fixed(std::string(16, 'n'));
  EXPECT_EQ(decode_error(out.out())->code, 93);
}

TEST(TypedParams, RefuseTooManyUnknownTypesAndLongNames) {
  PrepareCall call;
  call.params.assign(kParamsMax, {"x", 1});
  EXPECT_TRUE(decode_prepare_call(encode(call)));
  call.params.push_back({"x", 1});
  EXPECT_FALSE(decode_prepare_call(encode(call)));
  call.params.assign(1, {std::string(kParamNameMax + 1, 'x'), 1});
  EXPECT_FALSE(decode_prepare_call(encode(call)));
  call.params.assign(1, {"x", 1});
  Bytes payload = encode(call);
  payload[15] = 8;  // the type
  EXPECT_FALSE(decode_prepare_call(payload));
}

TEST(FinishCall, RefusesACancelledThatIsNeitherZeroNorOne) {
  Bytes payload = encode(FinishCall{});
  payload.back() = 2;
  EXPECT_FALSE(decode_finish_call(payload));
}

TEST(Uuid, HasOneForm) {
  const std::string text = "01234567-89ab-cdef-0123-456789abcdef";
  EXPECT_EQ(uuid_text(*parse_uuid(text)), text);
  EXPECT_EQ(uuid_text(*parse_uuid("01234567-89AB-CDEF-0123-456789ABCDEF")), text);
  for (const char* wrong :
       {"", "0123456789abcdef0123456789abcdef", "0123456-789ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcdeg", "01234567-89ab-cdef-0123-456789abcdef0"}) {
    EXPECT_FALSE(parse_uuid(wrong)) << wrong;
  }
}

TEST(ErrorReply, AnswersTheCall) {
  const RpcPacket reply = make_error_reply({.procedure = 303, .serial = 9}, {9, 7, "why", 2});
  EXPECT_EQ(reply.header.type, RpcType::kReply);
  EXPECT_EQ(reply.header.status, RpcStatus::kError);
  EXPECT_EQ(reply.header.serial, 9u);
  EXPECT_EQ(decode_error(reply.payload())->message, "why");
}

}  // namespace
}  // namespace drover::gate
