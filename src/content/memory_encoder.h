// SPDX-License-Identifier: Apache-2.0
// QEMU's memory stream as batches: each page that lies whole within a range is looked up in what
// the guest's memory, the receiver's page cache and its disks have. One thread, except urgent().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "content/batch_writer.h"
#include "content/content_name.h"
#include "content/disk_references.h"
#include "content/encoder.h"
#include "content/memory_parser.h"
#include "content/page_ring.h"
#include "content/page_table.h"

namespace drover::content {

class MemoryEncoder : public StreamEncoder {
 public:
  explicit MemoryEncoder(std::shared_ptr<SourceContent> content);

  std::size_t cut(std::span<const std::uint8_t> raw) const override;
  bool passes(std::span<const std::uint8_t> raw) override;
  Batch encode(std::span<const std::uint8_t> raw) override;
  bool urgent() const override { return urgent_; }

 private:
  // What a page's content is named by, and its record.
  struct Page {
    const MemoryToken& token;
    std::span<const std::uint8_t> record;
    std::span<const std::uint8_t, kBlockBytes> body() const { return record.last<kBlockBytes>(); }
    bool names_block() const { return (token.header & kFlagContinue) == 0; }
  };
  // The range, by records: each is described, or, while passing_, only taken note of.
  void go_through(std::span<const std::uint8_t> raw);
  // The end of a record that began in an earlier range; gives how many bytes that took.
  std::size_t finish_record(std::span<const std::uint8_t> raw);
  // The record at the start of `rest`; gives its bytes, all of `rest` if it does not end there.
  std::size_t encode_token(std::span<const std::uint8_t> rest);
  void encode_page(const Page& page);
  // From the literals. `number`: none after a header that names its block.
  void write_page(const Page& page, std::optional<std::uint64_t> number,
                  const std::optional<Name>& name);
  void keep(const Page& page);
  void encode_zero(const MemoryToken& token, std::span<const std::uint8_t> record);
  bool refer(const Name& name, std::optional<std::uint64_t> number);
  void literal(std::span<const std::uint8_t> bytes);
  void begin_pages();
  void notice_stop();

  std::shared_ptr<SourceContent> content_;
  Namer namer_;
  DiskReferences disks_;
  MemoryParser parser_;
  BatchWriter writer_;
  std::vector<std::uint8_t> carried_;  // a head's beginning, already sent
  std::size_t skip_ = 0;               // bytes of a record whose head was sent before
  bool passing_ = false;               // this range goes as it is
  std::atomic<bool> urgent_{false};
  std::unique_ptr<PageTable> table_;    // from the first record on
  std::unique_ptr<PageRing> ring_;      // null: another stream has the cache
  std::unique_ptr<PageKeeper> keeper_;  // null: pages are not kept
};

}  // namespace drover::content
