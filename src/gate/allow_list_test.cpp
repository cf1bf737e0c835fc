// SPDX-License-Identifier: Apache-2.0
#include "gate/allow_list.h"

#include <gtest/gtest.h>

#include "gate/envelope.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

CallVerdict verdict(const RpcHeader& header, const Bytes& payload = {}) {
  return judge_call(make_packet(header, payload)).verdict;
}

Bytes open_arguments(bool has_name, const std::string& name, std::uint32_t flags) {
  XdrWriter out;
  out.boolean(has_name);
  if (has_name) out.bytes(name);
  out.u32(flags);
  return out.take();
}

TEST(AllowList, OpensOnlyTheLocalSystem) {
  const RpcHeader open{.procedure = kConnectOpen};
  EXPECT_EQ(verdict(open, open_arguments(true, "qemu:///system", 0)), CallVerdict::kPass);
  EXPECT_EQ(verdict(open, open_arguments(true, "qemu:///system", 1)), CallVerdict::kRefuse);
  EXPECT_EQ(verdict(open, open_arguments(false, "", 0)), CallVerdict::kRefuse);
  EXPECT_EQ(verdict(open, open_arguments(true, "lxc:///system", 0)), CallVerdict::kRefuse);
  EXPECT_EQ(verdict(open, open_arguments(true, "qemu+ssh://h/system", 0)), CallVerdict::kRefuse);
  EXPECT_EQ(verdict(open), CallVerdict::kRefuse);
}

TEST(AllowList, RefusesEveryOtherProcedureAndProgram) {
  for (std::int32_t procedure = -1; procedure < 500; ++procedure) {
    if (procedure_name(procedure).starts_with("procedure")) {
      EXPECT_EQ(verdict({.procedure = procedure}), CallVerdict::kRefuse) << procedure;
    }
  }
  for (const std::uint32_t program : {0x20008087u, 0x00068000u, 0x06900690u, 0x87539319u, 0u}) {
    EXPECT_EQ(verdict({.program = program, .procedure = 2}), CallVerdict::kRefuse);
  }
  EXPECT_EQ(verdict({.version = 2, .procedure = 2}), CallVerdict::kRefuse);
}

TEST(AllowList, SmallCallsHaveTheirOwnArgumentsOnly) {
  EXPECT_EQ(verdict({.procedure = kAuthList}), CallVerdict::kPass);
  EXPECT_EQ(verdict({.procedure = kAuthList}, {0, 0, 0, 0}), CallVerdict::kRefuse);
  EXPECT_EQ(verdict({.procedure = kConnectSupportsFeature}, {0, 0, 0, 4}), CallVerdict::kPass);
  EXPECT_EQ(verdict({.procedure = kConnectSupportsFeature}), CallVerdict::kRefuse);
}

TEST(AllowList, BreaksOnWhatIsNoCall) {
  for (const RpcType type : {RpcType::kReply, RpcType::kMessage, RpcType::kStream,
                             RpcType::kCallWithFds, RpcType::kReplyWithFds, RpcType::kStreamHole}) {
    EXPECT_EQ(verdict({.procedure = kAuthList, .type = type}), CallVerdict::kBreak);
  }
  EXPECT_EQ(verdict({.procedure = kAuthList, .status = RpcStatus::kError}), CallVerdict::kBreak);
}

TEST(Envelope, CarriesPacketsAndNotes) {
  const RpcPacket packet = make_packet({.procedure = 66, .serial = 3}, {});
  const Note note{NoteKind::kRefused, "taken \"back\""};
  Bytes stream = encode_envelope(packet);
  const Bytes second = encode_envelope(note);
  stream.insert(stream.end(), second.begin(), second.end());
  for (std::size_t step = 1; step < stream.size(); ++step) {
    EnvelopeDecoder decoder;
    std::vector<Envelope> found;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      decoder.feed(std::span(stream).subspan(at, std::min(step, stream.size() - at)));
      while (auto envelope = *decoder.next()) found.push_back(std::move(*envelope));
    }
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(std::get<RpcPacket>(found[0]).bytes, packet.bytes);
    EXPECT_EQ(std::get<Note>(found[1]), note);
  }
}

TEST(Envelope, RefusesUnknownTypesSizesAndNotes) {
  const Bytes wrong[] = {{3, 0, 0, 0, 0},     {0, 0, 0, 0, 0}, {1, 0x02, 0, 0, 5},
                         {2, 0, 1, 0, 1},     {1, 0, 0, 0, 0}, {2, 0, 0, 0, 2, '{', '}'},
                         {2, 0, 0, 0, 1, 'x'}};
  for (const Bytes& bytes : wrong) {
    EnvelopeDecoder decoder;
    decoder.feed(bytes);
    EXPECT_FALSE(decoder.next());
  }
}

}  // namespace
}  // namespace drover::gate
