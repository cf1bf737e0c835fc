// SPDX-License-Identifier: Apache-2.0
#include "content/memory_parser.h"

#include <algorithm>
#include <string_view>

#include "base/big_endian.h"
#include "content/ops.h"

namespace drover::content {
namespace {

// QEMU's numbers: migration/savevm.c, migration/ram.c.
constexpr std::uint32_t kMagic = 0x5145564d;  // "QEVM"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint8_t kSectionStart = 0x01;
constexpr std::uint8_t kSectionPart = 0x02;
constexpr std::uint8_t kSectionEnd = 0x03;
constexpr std::uint8_t kSubsection = 0x05;
constexpr std::uint8_t kConfiguration = 0x07;
constexpr std::uint8_t kCommand = 0x08;
constexpr std::uint8_t kSectionFooter = 0x7e;
constexpr std::uint16_t kOpenReturnPath = 1;
constexpr std::uint16_t kPing = 2;
constexpr std::uint16_t kSwitchoverStart = 11;
constexpr std::uint32_t kRamVersion = 4;
constexpr std::uint32_t kTargetPageBits = 12;
constexpr std::uint64_t kFlagMask = kBlockBytes - 1;
constexpr std::uint64_t kFlagMemorySize = 0x04;
constexpr std::uint64_t kFlagEnd = 0x10;
constexpr std::uint64_t kFlagMultifdFlush = 0x200;
constexpr std::size_t kMachineNameMax = 256;

MemoryToken more() { return {}; }
MemoryToken unknown(MemoryParser::Position& at) {
  at.phase = MemoryParser::Position::kOpaque;
  return {.kind = MemoryToken::kOpaque};
}
MemoryToken plain(std::size_t head, std::size_t body = 0) {
  return {.kind = MemoryToken::kPlain, .head_bytes = head, .body_bytes = body};
}

std::string_view text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

MemoryToken magic(MemoryParser::Position& at, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 8) return more();
  if (load_be<std::uint32_t>(bytes.data()) != kMagic ||
      load_be<std::uint32_t>(bytes.data() + 4) != kVersion) {
    return unknown(at);
  }
  at.phase = MemoryParser::Position::kSections;
  return plain(8);
}

MemoryToken configuration(MemoryParser::Position& at, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 5) return more();
  const std::uint32_t length = load_be<std::uint32_t>(bytes.data() + 1);
  if (length > kMachineNameMax || at.ram_section) return unknown(at);
  at.after_configuration = true;
  return plain(5, length);
}

// Those of the configuration that say nothing about how pages are written, or what we expect.
MemoryToken subsection(MemoryParser::Position& at, std::span<const std::uint8_t> bytes) {
  if (!at.after_configuration) return unknown(at);
  if (bytes.size() < 2) return more();
  const std::size_t head = 2u + bytes[1] + 4u;
  if (bytes.size() < head + 4) return more();
  const auto name = text(bytes.subspan(2, bytes[1]));
  if (name == "configuration/uuid") return plain(head, 16);
  if (name == "configuration/target-page-bits" &&
      load_be<std::uint32_t>(bytes.data() + head) == kTargetPageBits) {
    return plain(head + 4);
  }
  return unknown(at);
}

// A command of post-copy would change what a page record means.
MemoryToken command(MemoryParser::Position& at, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 5) return more();
  const auto number = load_be<std::uint16_t>(bytes.data() + 1);
  const auto length = load_be<std::uint16_t>(bytes.data() + 3);
  if (number != kOpenReturnPath && number != kPing && number != kSwitchoverStart)
    return unknown(at);
  return plain(5, length);
}

MemoryToken continue_section(MemoryParser::Position& at, std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 5) return more();
  if (load_be<std::uint32_t>(bytes.data() + 1) != at.ram_section) return unknown(at);
  if (bytes[0] == kSectionFooter) return plain(5);
  at.phase = MemoryParser::Position::kRecords;
  if (bytes[0] == kSectionEnd) at.guest_stopped = true;
  return plain(5);
}

}  // namespace

MemoryToken MemoryParser::next(std::span<const std::uint8_t> bytes) {
  const bool listing = at_.phase == Position::kBlocks;
  if (listing && blocks_.size() == kBlocksMax) return unknown(at_);
  const MemoryToken token = peek(at_, bytes);
  if (listing && token.kind == MemoryToken::kPlain) add_block(bytes.first(token.head_bytes));
  return token;
}

MemoryToken MemoryParser::peek(Position& at, std::span<const std::uint8_t> bytes) const {
  if (at.phase == Position::kOpaque) return {.kind = MemoryToken::kOpaque};
  if (bytes.empty()) return more();
  switch (at.phase) {
    case Position::kMagic:
      return magic(at, bytes);
    case Position::kSections:
      return section(at, bytes);
    case Position::kRecords:
      return record(at, bytes);
    case Position::kBlocks:
      return list_block(at, bytes);
    case Position::kOpaque:
      break;
  }
  return more();
}

MemoryToken MemoryParser::section(Position& at, std::span<const std::uint8_t> bytes) const {
  switch (bytes[0]) {
    case kConfiguration:
      return configuration(at, bytes);
    case kSubsection:
      return subsection(at, bytes);
    case kCommand:
      return command(at, bytes);
    case kSectionStart:
      return start_section(at, bytes);
    case kSectionPart:
    case kSectionEnd:
    case kSectionFooter:
      return continue_section(at, bytes);
    default:  // device state, the end, and what nobody knows
      return unknown(at);
  }
}

MemoryToken MemoryParser::start_section(Position& at, std::span<const std::uint8_t> bytes) const {
  constexpr std::string_view kRam = "ram";
  constexpr std::size_t kHead = 1 + 4 + 1 + kRam.size() + 4 + 4;
  // The list of blocks begins with the sum of their sizes.
  if (bytes.size() < kHead + 8) return more();
  const std::uint64_t total = load_be<std::uint64_t>(bytes.data() + kHead);
  if (at.ram_section || bytes[5] != kRam.size() || text(bytes.subspan(6, kRam.size())) != kRam ||
      load_be<std::uint32_t>(bytes.data() + 13) != kRamVersion ||
      (total & kFlagMask) != kFlagMemorySize) {
    return unknown(at);
  }
  at.ram_section = load_be<std::uint32_t>(bytes.data() + 1);
  at.block_bytes_left = total & ~kFlagMask;
  at.phase = at.block_bytes_left == 0 ? Position::kRecords : Position::kBlocks;
  return plain(kHead + 8);
}

// Name and size. A page size that follows only with post-copy is read as a record and found
// unknown.
MemoryToken MemoryParser::list_block(Position& at, std::span<const std::uint8_t> bytes) const {
  const std::size_t head = 1u + bytes[0] + 8u;
  if (bytes.size() < head) return more();
  const std::uint64_t size = load_be<std::uint64_t>(bytes.data() + head - 8);
  if (bytes[0] == 0 || size > at.block_bytes_left || size % kBlockBytes != 0) return unknown(at);
  at.block_bytes_left -= size;
  if (at.block_bytes_left == 0) at.phase = Position::kRecords;
  return plain(head);
}

void MemoryParser::add_block(std::span<const std::uint8_t> entry) {
  const std::uint64_t pages = load_be<std::uint64_t>(entry.data() + entry.size() - 8) / kBlockBytes;
  blocks_.push_back({std::string(text(entry.subspan(1, entry[0]))), pages_, pages});
  pages_ += pages;
}

MemoryToken MemoryParser::record(Position& at, std::span<const std::uint8_t> bytes) const {
  if (bytes.size() < kRecordHeaderBytes) return more();
  const auto header = load_be<std::uint64_t>(bytes.data());
  if (header == kFlagEnd) {
    at.phase = Position::kSections;
    return plain(kRecordHeaderBytes);
  }
  if (header == kFlagMultifdFlush) return plain(kRecordHeaderBytes);
  const std::uint64_t flags = header & kFlagMask & ~kFlagContinue;
  if (flags != kFlagPage && flags != kFlagZero) return unknown(at);
  return page_record(at, bytes, header);
}

MemoryToken MemoryParser::page_record(Position& at, std::span<const std::uint8_t> bytes,
                                      std::uint64_t header) const {
  MemoryToken token{.kind = MemoryToken::kPage, .head_bytes = kRecordHeaderBytes, .header = header};
  std::optional<std::size_t> block = at.block;
  if ((header & kFlagContinue) == 0) {
    if (bytes.size() < token.head_bytes + 1) return more();
    const std::size_t name_bytes = bytes[token.head_bytes];
    if (bytes.size() < token.head_bytes + 1 + name_bytes) return more();
    block = find_block(bytes.subspan(token.head_bytes + 1, name_bytes));
    token.head_bytes += 1 + name_bytes;
  }
  const std::uint64_t page = header / kBlockBytes;
  if (!block || page >= blocks_[*block].pages) return unknown(at);
  token.index = blocks_[*block].first_index + page;
  if ((header & kFlagZero) != 0) {
    if (bytes.size() < token.head_bytes + 1) return more();
    if (bytes[token.head_bytes] != 0) return unknown(at);
    token.kind = MemoryToken::kZero;
    token.head_bytes += 1;
  } else {
    token.body_bytes = kBlockBytes;
  }
  at.block = block;
  return token;
}

std::optional<std::size_t> MemoryParser::find_block(std::span<const std::uint8_t> name) const {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const Block& block) { return block.name == text(name); });
  if (found == blocks_.end()) return {};
  return static_cast<std::size_t>(found - blocks_.begin());
}

}  // namespace drover::content
