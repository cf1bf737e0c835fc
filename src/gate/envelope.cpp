// SPDX-License-Identifier: Apache-2.0
#include "gate/envelope.h"

#include <array>

#include <nlohmann/json.hpp>

#include "base/big_endian.h"
#include "net/control_message.h"

namespace drover::gate {
namespace {

constexpr std::uint8_t kPacketType = 1;
constexpr std::uint8_t kNoteType = 2;
constexpr std::size_t kPrefixBytes = 5;

constexpr std::array kNoteNames{
    std::pair{NoteKind::kRefused, "refused"},
    std::pair{NoteKind::kLibvirtClosed, "libvirt_closed"},
    std::pair{NoteKind::kUndecided, "undecided"},
    std::pair{NoteKind::kClosed, "closed"},
};

Bytes frame(std::uint8_t type, std::span<const std::uint8_t> content) {
  Bytes out(kPrefixBytes);
  out[0] = type;
  store_be(out.data() + 1, static_cast<std::uint32_t>(content.size()));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

Result<Note> parse_note(std::span<const std::uint8_t> content) {
  ASSIGN_OR_RETURN(
      const auto message,
      net::parse_message({reinterpret_cast<const char*>(content.data()), content.size()}));
  ASSIGN_OR_RETURN(const std::string name, net::text_member(message, "note"));
  ASSIGN_OR_RETURN(std::string text, net::text_member_or(message, "text", ""));
  for (const auto& [kind, kind_name] : kNoteNames) {
    if (name == kind_name) return Note{kind, std::move(text)};
  }
  return fail(ErrorCode::kProtocol, "The other gate sent the unknown note '{}'.", name);
}

}  // namespace

Bytes encode_envelope(const RpcPacket& packet) { return frame(kPacketType, packet.bytes); }

Bytes encode_envelope(const Note& note) {
  nlohmann::json message{{"text", note.text.substr(0, kNoteBytesMax / 8)}};
  for (const auto& [kind, name] : kNoteNames) {
    if (kind == note.kind) message["note"] = name;
  }
  const std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return frame(kNoteType, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void EnvelopeDecoder::feed(std::span<const std::uint8_t> bytes) {
  if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Envelope>> EnvelopeDecoder::next() {
  const auto rest = std::span(buffer_).subspan(begin_);
  if (rest.size() < kPrefixBytes) return std::nullopt;
  const std::uint8_t type = rest[0];
  const auto length = load_be<std::uint32_t>(rest.data() + 1);
  const std::size_t length_max = type == kPacketType ? kPacketBytesMax
                                 : type == kNoteType ? kNoteBytesMax
                                                     : 0;
  if (length > length_max) {
    return fail(ErrorCode::kProtocol, "The other gate sent a frame of type {} and {} bytes.", type,
                length);
  }
  if (length_max == 0)
    return fail(ErrorCode::kProtocol, "The other gate sent a frame of type {}.", type);
  if (rest.size() < kPrefixBytes + length) return std::nullopt;
  const auto content = rest.subspan(kPrefixBytes, length);
  std::optional<Envelope> envelope;
  if (type == kPacketType) {
    ASSIGN_OR_RETURN(envelope, parse_packet(content));
  } else {
    ASSIGN_OR_RETURN(envelope, parse_note(content));
  }
  begin_ += kPrefixBytes + length;
  return envelope;
}

}  // namespace drover::gate
