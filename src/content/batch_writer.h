// SPDX-License-Identifier: Apache-2.0
// Writes a batch's operations, as few as say it: what follows the same rule becomes one run. One
// thread; lives no longer than the batch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "content/batch.h"
#include "content/ops.h"

namespace drover::content {

class BatchWriter {
 public:
  void literal(std::span<const std::uint8_t> bytes);
  // The header of a page record that names its block, with that name's length and letters; its page
  // follows. `header` has no flag CONTINUE.
  void named_header(std::uint64_t header, std::span<const std::uint8_t> name);
  // A record of kZeroPages or kSamePages whose header has CONTINUE.
  void record(OpKind kind, std::uint64_t page);
  // A page from the literals (kPages, kPlainPages) with its record's header, or, without a page
  // number, right after named_header.
  void page(OpKind kind, std::optional<std::uint64_t> page, std::span<const std::uint8_t> body);
  // kCachedPage or kDiskPage, `op` without mode and page.
  void reference(Op op, std::optional<std::uint64_t> page);
  void define_disk(std::uint8_t number, std::span<const std::uint8_t> export_name);

  Batch finish();

 private:
  void run(OpKind kind, std::optional<std::uint64_t> page);
  void set_header(Op& op, std::optional<std::uint64_t> page);
  void flush();

  Batch batch_;
  std::optional<Op> open_;             // not yet written: it may grow
  std::optional<std::uint64_t> last_;  // page of the last record
};

}  // namespace drover::content
