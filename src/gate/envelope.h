// SPDX-License-Identifier: Apache-2.0
// What two gates say to each other over the `rpc` stream, which movers carry as opaque bytes:
// [u8 type][u32 length][content], docs/gate.md, "Between the gates". The decoder takes bytes from
// another host: it never throws. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "base/error.h"
#include "gate/rpc_message.h"

namespace drover::gate {

inline constexpr std::size_t kNoteBytesMax = 64 * 1024;

enum class NoteKind {
  kRefused,        // destination: the record says `refused`; the VM never ran here and never will
  kLibvirtClosed,  // destination: its libvirtd ended the connection after FINISH was accepted
  kUndecided,      // destination: the decision could not be recorded; FINISH was not forwarded
  kClosed,         // source: its libvirtd is gone, or the move is over
};

struct Note {
  NoteKind kind = NoteKind::kClosed;
  std::string text;  // for people
  bool operator==(const Note&) const = default;
};

using Envelope = std::variant<RpcPacket, Note>;

Bytes encode_envelope(const RpcPacket& packet);
Bytes encode_envelope(const Note& note);

// Like PacketDecoder: feed a little, take all, feed again.
class EnvelopeDecoder {
 public:
  void feed(std::span<const std::uint8_t> bytes);
  Result<std::optional<Envelope>> next();

 private:
  Bytes buffer_;
  std::size_t begin_ = 0;
};

}  // namespace drover::gate
