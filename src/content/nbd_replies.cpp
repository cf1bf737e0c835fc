// SPDX-License-Identifier: Apache-2.0
#include "content/nbd_replies.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::content {
namespace {

// NBD's doc/proto.md.
constexpr std::uint64_t kGreetingMagic = 0x4e42444d41474943;  // "NBDMAGIC"
constexpr std::uint64_t kOptionMagic = 0x49484156454f5054;    // "IHAVEOPT"
constexpr std::uint32_t kOptionReplyMagic = 0x0003e889;       // the first half
constexpr std::uint32_t kSimpleMagic = 0x67446698;
constexpr std::uint32_t kChunkMagic = 0x668e33ef;
constexpr std::uint32_t kExtendedMagic = 0x6e8a278c;
constexpr std::size_t kMagicBytes = 4;
constexpr std::size_t kGreetingBytes = 18;
constexpr std::size_t kOptionReplyBytes = 20;
constexpr std::size_t kSimpleBytes = 16;
constexpr std::size_t kChunkBytes = 20;
constexpr std::size_t kExtendedBytes = 32;
constexpr std::uint16_t kChunkDone = 1;
constexpr std::uint16_t kChunkError = 0x8000;

}  // namespace

void NbdReplyParser::feed(std::span<const std::uint8_t> bytes, Sink& sink) {
  while (!bytes.empty() && phase_ != kUnknown) {
    const auto skipped = std::min<std::uint64_t>(skip_, bytes.size());
    skip_ -= skipped;
    bytes = bytes.subspan(skipped);
    const std::size_t missing = std::min(wanted() - head_.size(), bytes.size());
    head_.insert(head_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(missing));
    bytes = bytes.subspan(missing);
    // The magic alone only says how long the head is.
    if (head_.size() == wanted()) take_message(sink);
  }
}

std::size_t NbdReplyParser::wanted() const {
  if (phase_ == kGreeting) return kGreetingBytes;
  if (head_.size() < kMagicBytes) return kMagicBytes;
  switch (load_be<std::uint32_t>(head_.data())) {
    case kOptionReplyMagic:
      return kOptionReplyBytes;
    case kSimpleMagic:
      return kSimpleBytes;
    case kChunkMagic:
      return kChunkBytes;
    case kExtendedMagic:
      return kExtendedBytes;
    default:
      return kMagicBytes;
  }
}

void NbdReplyParser::take_message(Sink& sink) {
  if (phase_ == kGreeting) {
    const bool known = load_be<std::uint64_t>(head_.data()) == kGreetingMagic &&
                       load_be<std::uint64_t>(head_.data() + 8) == kOptionMagic;
    phase_ = known ? kMessages : kUnknown;
  } else {
    switch (load_be<std::uint32_t>(head_.data())) {
      case kOptionReplyMagic:
        skip_ = load_be<std::uint32_t>(head_.data() + 16);
        break;
      case kSimpleMagic:
        take_simple(sink);
        break;
      case kChunkMagic:
        skip_ = load_be<std::uint32_t>(head_.data() + 16);
        take_chunk(sink);
        break;
      case kExtendedMagic:  // a chunk with an offset and a longer length
        skip_ = load_be<std::uint64_t>(head_.data() + 24);
        take_chunk(sink);
        break;
      default:
        phase_ = kUnknown;
    }
  }
  head_.clear();
}

void NbdReplyParser::take_simple(Sink& sink) {
  const bool good = load_be<std::uint32_t>(head_.data() + 4) == 0;
  const auto cookie = load_be<std::uint64_t>(head_.data() + 8);
  if (good) skip_ = sink.data_bytes(cookie);
  sink.answered(cookie, good);
}

void NbdReplyParser::take_chunk(Sink& sink) {
  const auto flags = load_be<std::uint16_t>(head_.data() + 4);
  const auto type = load_be<std::uint16_t>(head_.data() + 6);
  const auto cookie = load_be<std::uint64_t>(head_.data() + 8);
  if ((type & kChunkError) != 0) sink.failed(cookie);
  if ((flags & kChunkDone) != 0) sink.answered(cookie, true);
}

}  // namespace drover::content
