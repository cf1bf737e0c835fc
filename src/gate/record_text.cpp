// SPDX-License-Identifier: Apache-2.0
#include "gate/record_text.h"

#include <algorithm>
#include <array>
#include <utility>

namespace drover::gate {
namespace {

constexpr std::string_view kFirstLine = "drover-record 1\n";
constexpr std::string_view kChecksumName = "crc32 ";

// IEEE 802.3, bit by bit: records are a few hundred bytes.
std::uint32_t crc32(std::string_view text) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

using Field = std::pair<std::string_view, std::string RecordText::*>;
constexpr std::array<Field, 8> kFields{
    Field{"kind", &RecordText::kind},   Field{"instance", &RecordText::instance},
    Field{"vm", &RecordText::vm_uuid},  Field{"move", &RecordText::move_id},
    Field{"epoch", &RecordText::epoch}, Field{"state", &RecordText::state},
    Field{"time", &RecordText::time},   Field{"note", &RecordText::note},
};

std::string one_line(std::string_view text, std::size_t size_max) {
  std::string line(text.substr(0, size_max));
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

std::unexpected<Error> corrupt(const char* why) {
  return fail(ErrorCode::kCorrupt, "An ownership record is damaged: {}.", why);
}

}  // namespace

bool is_record_word(std::string_view word) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !word.empty() && word.size() <= 64 && std::ranges::all_of(word, allowed);
}

std::string format_record(const RecordText& record) {
  std::string out(kFirstLine);
  for (const auto& [name, member] : kFields) {
    out += fmt::format("{} {}\n", name, one_line(record.*member, kRecordNoteMax));
  }
  return out + fmt::format("{}{:08x}\n", kChecksumName, crc32(out));
}

Result<RecordText> parse_record(std::string_view text) {
  if (text.size() > kRecordBytesMax) return corrupt("it is too large");
  if (!text.starts_with(kFirstLine)) return corrupt("its first line is not 'drover-record 1'");
  const std::size_t body_size = text.rfind(kChecksumName);
  if (body_size == std::string_view::npos) return corrupt("it has no checksum");
  const std::string_view body = text.substr(0, body_size);
  if (text.substr(body_size) != fmt::format("{}{:08x}\n", kChecksumName, crc32(body))) {
    return corrupt("its checksum does not hold");
  }
  RecordText record;
  std::string_view rest = body.substr(kFirstLine.size());
  for (const auto& [name, member] : kFields) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return corrupt("it lacks a line");
    const std::string_view line = rest.substr(0, end);
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') {
      return corrupt("its lines are not in order");
    }
    record.*member = line.substr(name.size() + 1);
    rest.remove_prefix(end + 1);
  }
  if (!rest.empty()) return corrupt("it has more lines than it should");
  return record;
}

}  // namespace drover::gate
