// SPDX-License-Identifier: Apache-2.0
// The text of one ownership record; docs/ownership.md, "Format". Values only; parse_record never
// throws. The folder of records is gate/ownership_record.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover::gate {

inline constexpr std::size_t kRecordBytesMax = 4096;
inline constexpr std::size_t kRecordNoteMax = 1024;

struct RecordText {
  std::string kind;      // "source", "reserved", "decision", "outcome"
  std::string instance;  // of the journal that made it
  std::string vm_uuid;
  std::string move_id;
  std::string epoch;
  std::string state;  // "held", "accepted", "replied_ok", ...
  std::string time;   // RFC 3339, UTC; for people
  std::string note;   // one line of plain text, may be empty
  bool operator==(const RecordText&) const = default;
};

// Characters that a line cannot hold become spaces, a long note is cut.
std::string format_record(const RecordText& record);
// kCorrupt unless the checksum holds and each line is there once, in order.
Result<RecordText> parse_record(std::string_view text);

// 1 to 64 of a-z, A-Z, 0-9 and '-': what may be part of a record's file name.
bool is_record_word(std::string_view word);

}  // namespace drover::gate
