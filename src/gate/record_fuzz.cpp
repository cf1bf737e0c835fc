// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ownership record: no crash, and what is believed has the one form there is.
#include <cstdlib>

#include "gate/record_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace drover::gate;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  if (const auto record = parse_record(text)) {
    const auto again = parse_record(format_record(*record));
    if (!again) std::abort();
  }
  // The checksum keeps mutations out, so the fields are tried behind one that fits, too.
  RecordText record;
  record.kind = text.substr(0, size / 2);
  record.note = text.substr(size / 2);
  const auto again = parse_record(format_record(record));
  if (size < kRecordNoteMax && !again) std::abort();
  return 0;
}
