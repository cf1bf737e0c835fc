// SPDX-License-Identifier: Apache-2.0
// A live move with its disk, as libvirt 9.0 sent it (testdata/): the allow-list is exactly what it
// needs, the decoders understand it to the last byte, and the policy passes it.
#include <fstream>
#include <iterator>
#include <set>

#include <gtest/gtest.h>

#include "gate/actions.h"
#include "gate/allow_list.h"
#include "gate/call_policy.h"
#include "gate/envelope.h"

namespace drover::gate {
namespace {

std::vector<RpcPacket> packets_of(const std::string& name) {
  std::ifstream file(std::string(DROVER_GATE_TESTDATA) + "/" + name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(text.empty()) << name;
  EnvelopeDecoder decoder;
  decoder.feed({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  std::vector<RpcPacket> packets;
  while (auto envelope = *decoder.next()) {
    if (auto* packet = std::get_if<RpcPacket>(&*envelope)) packets.push_back(*packet);
  }
  return packets;
}

template <typename Call>
std::string text_param(const Call& call, const std::string& field) {
  for (const TypedParam& param : call.params) {
    if (param.field == field) return std::get<std::string>(param.value);
  }
  return "";
}

Policy policy_for(const PrepareCall& prepare, const FinishCall& finish) {
  const std::string uuid_tag = "<uuid>";
  const std::string xml = text_param(prepare, "destination_xml");
  Policy policy;
  policy.vm_name = text_param(finish, "destination_name");
  policy.vm_uuid = xml.substr(xml.find(uuid_tag) + uuid_tag.size(), 36);
  policy.memory_uri = text_param(prepare, "migrate_uri");
  policy.disks_uri = text_param(prepare, "disks_uri");
  policy.rules.bridges = {"*"};
  EXPECT_TRUE(reserve_references(policy, xml));
  const std::size_t begin = finish.cookie.find("<domain");
  const std::string end_tag = "</domain>";
  EXPECT_NE(begin, std::string::npos) << "a persistent definition";
  EXPECT_TRUE(reserve_references(
      policy, finish.cookie.substr(begin, finish.cookie.find(end_tag) + end_tag.size() - begin)));
  return policy;
}

TEST(RecordedMove, EveryCallIsAllowed) {
  std::set<std::int32_t> seen;
  for (const RpcPacket& packet : packets_of("libvirt9_calls.bin")) {
    EXPECT_EQ(judge_call(packet).verdict, CallVerdict::kPass) << judge_call(packet).why;
    seen.insert(packet.header.procedure);
  }
  // Answered by the source's gate itself, once FINISH is settled.
  seen.insert(kUnregisterCloseCallback);
  seen.insert(kConnectClose);
  std::set<std::int32_t> allowed;
  for (const AllowedCall& call : allowed_calls()) allowed.insert(call.procedure);
  EXPECT_EQ(seen, allowed) << "nothing is allowed that a move does not need";
}

TEST(RecordedMove, DecodesAndEncodesToTheSameBytes) {
  int checked = 0;
  for (const RpcPacket& packet : packets_of("libvirt9_calls.bin")) {
    const auto payload = packet.payload();
    const Bytes bytes(payload.begin(), payload.end());
    if (packet.header.procedure == kMigratePrepare) {
      EXPECT_EQ(encode(*decode_prepare_call(payload)), bytes);
      ++checked;
    }
    if (packet.header.procedure == kMigrateFinish) {
      EXPECT_EQ(encode(*decode_finish_call(payload)), bytes);
      EXPECT_FALSE(decode_finish_call(payload)->cancelled);
      ++checked;
    }
  }
  for (const RpcPacket& packet : packets_of("libvirt9_answers.bin")) {
    EXPECT_TRUE(is_answer(packet.header));
    const auto payload = packet.payload();
    const Bytes bytes(payload.begin(), payload.end());
    if (packet.header.procedure == kMigratePrepare) {
      EXPECT_EQ(encode(*decode_prepare_reply(payload)), bytes);
      ++checked;
    }
    if (packet.header.procedure == kMigrateFinish) {
      EXPECT_EQ(encode(*decode_finish_reply(payload)), bytes);
      ++checked;
    }
  }
  EXPECT_EQ(checked, 4);
}

TEST(RecordedMove, PassesThePolicyOfItsReservationOnly) {
  Result<PrepareCall> prepare;
  Result<FinishCall> finish;
  for (const RpcPacket& packet : packets_of("libvirt9_calls.bin")) {
    if (packet.header.procedure == kMigratePrepare) prepare = decode_prepare_call(packet.payload());
    if (packet.header.procedure == kMigrateFinish) finish = decode_finish_call(packet.payload());
  }
  ASSERT_TRUE(prepare && finish);
  Policy policy = policy_for(*prepare, *finish);
  const Status prepared = check_prepare(*prepare, policy, any_path);
  EXPECT_TRUE(prepared) << prepared.error().text();
  const Status finished = check_finish(*finish, policy, any_path);
  EXPECT_TRUE(finished) << finished.error().text();
  policy.references.pop_back();
  EXPECT_FALSE(check_prepare(*prepare, policy, any_path) &&
               check_finish(*finish, policy, any_path));
  policy.rules.bridges.clear();
  EXPECT_FALSE(check_prepare(*prepare, policy, any_path));
}

}  // namespace
}  // namespace drover::gate
