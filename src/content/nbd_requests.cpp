// SPDX-License-Identifier: Apache-2.0
#include "content/nbd_requests.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {
namespace {

// NBD's doc/proto.md.
constexpr std::uint32_t kClientFlagsMax = 3;                // fixed newstyle, no zeroes
constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;  // "IHAVEOPT"
constexpr std::uint32_t kRequestMagic = 0x25609513;
constexpr std::uint32_t kExtendedMagic = 0x21e41c71;
constexpr std::size_t kFlagsBytes = 4;
constexpr std::size_t kOptionHeadBytes = 16;
constexpr std::size_t kRequestBytes = 28;
constexpr std::size_t kExtendedBytes = 32;
constexpr std::uint16_t kFlagPayload = 32;  // extended: of any command
constexpr std::uint32_t kOptionExportName = 1;
constexpr std::uint32_t kOptionGo = 7;

std::string_view text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void NbdRequestParser::feed(std::span<const std::uint8_t> bytes, Sink& sink) {
  while (!bytes.empty() && phase_ != kUnknown) {
    if (payload_left_ > 0) {
      const auto here = std::min<std::uint64_t>(payload_left_, bytes.size());
      payload_left_ -= here;
      sink.payload(bytes.first(here));
      bytes = bytes.subspan(here);
      continue;
    }
    const std::size_t missing = std::min(wanted() - head_.size(), bytes.size());
    head_.insert(head_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(missing));
    bytes = bytes.subspan(missing);
    if (head_.size() == wanted()) take_message(sink);
  }
}

std::size_t NbdRequestParser::wanted() const {
  if (phase_ == kFlags) return kFlagsBytes;
  // An option and a request differ in their first four bytes; an option's head is the shorter one.
  if (head_.size() < kOptionHeadBytes) return kOptionHeadBytes;
  if (load_be<std::uint32_t>(head_.data()) == kExtendedMagic) return kExtendedBytes;
  if (load_be<std::uint64_t>(head_.data()) != kOptionMagic) return kRequestBytes;
  const std::size_t data = load_be<std::uint32_t>(head_.data() + 12);
  return data > kOptionBytesMax ? kOptionHeadBytes : kOptionHeadBytes + data;
}

void NbdRequestParser::take_message(Sink& sink) {
  if (phase_ == kMessages) {
    if (load_be<std::uint64_t>(head_.data()) == kOptionMagic) {
      take_option(sink);
    } else if (load_be<std::uint32_t>(head_.data()) == kExtendedMagic) {
      take_extended_request(sink);
    } else {
      take_request(sink);
    }
  } else if (load_be<std::uint32_t>(head_.data()) > kClientFlagsMax) {
    give_up(sink);
  } else {
    phase_ = kMessages;
  }
  head_.clear();
}

void NbdRequestParser::take_option(Sink& sink) {
  if (load_be<std::uint32_t>(head_.data() + 12) > kOptionBytesMax) return give_up(sink);
  const auto data = std::span(head_).subspan(kOptionHeadBytes);
  const std::uint32_t option = load_be<std::uint32_t>(head_.data() + 8);
  if (option == kOptionExportName) {
    sink.export_chosen(text(data));
  } else if (option == kOptionGo && data.size() >= 4) {
    const std::size_t name_bytes = load_be<std::uint32_t>(data.data());
    if (name_bytes <= data.size() - 4) sink.export_chosen(text(data.subspan(4, name_bytes)));
  }
}

void NbdRequestParser::take_request(Sink& sink) {
  if (load_be<std::uint32_t>(head_.data()) != kRequestMagic) return give_up(sink);
  accept({.command = static_cast<NbdCommand>(load_be<std::uint16_t>(head_.data() + 6)),
          .cookie = load_be<std::uint64_t>(head_.data() + 8),
          .offset = load_be<std::uint64_t>(head_.data() + 16),
          .length = load_be<std::uint32_t>(head_.data() + 24)},
         sink);
}

void NbdRequestParser::take_extended_request(Sink& sink) {
  const NbdRequest request{
      .command = static_cast<NbdCommand>(load_be<std::uint16_t>(head_.data() + 6)),
      .cookie = load_be<std::uint64_t>(head_.data() + 8),
      .offset = load_be<std::uint64_t>(head_.data() + 16),
      .length = load_be<std::uint64_t>(head_.data() + 24)};
  // Every write has a payload. Its flag says so by the protocol's text, but not by QEMU 10.0.
  // Nothing else is known to have one.
  const bool has_payload = (load_be<std::uint16_t>(head_.data() + 4) & kFlagPayload) != 0;
  if (has_payload && request.command != NbdCommand::kWrite) return give_up(sink);
  accept(request, sink);
}

void NbdRequestParser::accept(const NbdRequest& request, Sink& sink) {
  if (request.command > NbdCommand::kBlockStatus) return give_up(sink);
  if (request.command == NbdCommand::kWrite) payload_left_ = request.length;
  sink.request(request);
}

void NbdRequestParser::give_up(Sink& sink) {
  phase_ = kUnknown;
  sink.unknown();
}

}  // namespace drover::content
