// SPDX-License-Identifier: Apache-2.0
// Any bytes as libvirt's RPC and as the stream between gates, cut anywhere: no crash, and what was
// understood is encoded to the same bytes again.
#include <cstdlib>

#include "gate/allow_list.h"
#include "gate/envelope.h"
#include "gate/migration_calls.h"

namespace {

using namespace drover::gate;

template <typename Decode>
void try_payload(std::span<const std::uint8_t> payload, Decode decode) {
  const auto value = decode(payload);
  if (!value) return;
  const Bytes again = encode(*value);
  if (!std::equal(again.begin(), again.end(), payload.begin(), payload.end())) std::abort();
}

void try_packet(const RpcPacket& packet) {
  static_cast<void>(judge_call(packet));
  try_payload(packet.payload(), decode_prepare_call);
  try_payload(packet.payload(), decode_finish_call);
  try_payload(packet.payload(), decode_prepare_reply);
  try_payload(packet.payload(), decode_finish_reply);
  static_cast<void>(decode_error(packet.payload()));
  if (make_packet(packet.header, packet.payload()).bytes != packet.bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = bytes[0] + 1u;
  const auto stream = std::span(bytes, size).subspan(1);
  PacketDecoder packets;
  EnvelopeDecoder envelopes;
  bool packets_ok = true;
  bool envelopes_ok = true;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    const auto part = stream.subspan(at, std::min(step, stream.size() - at));
    if (packets_ok) packets.feed(part);
    while (packets_ok) {
      const auto packet = packets.next();
      packets_ok = packet.has_value();
      if (!packet || !*packet) break;
      try_packet(**packet);
    }
    if (envelopes_ok) envelopes.feed(part);
    while (envelopes_ok) {
      const auto envelope = envelopes.next();
      envelopes_ok = envelope.has_value();
      if (!envelope || !*envelope) break;
      if (const auto* packet = std::get_if<RpcPacket>(&**envelope)) try_packet(*packet);
    }
  }
  // The payloads alone too, so that mutations need not keep the frame whole.
  try_payload(stream, decode_prepare_call);
  try_payload(stream, decode_finish_call);
  static_cast<void>(decode_error(stream));
  return 0;
}
