// SPDX-License-Identifier: Apache-2.0
// An NBD stream's client side as batches: bytes as they are, but blocks of writes that the
// destination holds elsewhere. On the way it learns what that is: a block counts from the good
// answer to its write until a later write to it is sent; blocks of writes that were under way at
// the same time do not count. One thread, but take_answers, which may have its own.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "content/batch_writer.h"
#include "content/content_name.h"
#include "content/disk_references.h"
#include "content/encoder.h"
#include "content/nbd_pending.h"
#include "content/nbd_replies.h"
#include "content/nbd_requests.h"

namespace drover::content {

class DiskEncoder : public StreamEncoder, NbdRequestParser::Sink, NbdReplyParser::Sink {
 public:
  // Blocks of a write that is not answered: NBD servers take 32 MiB.
  static constexpr std::size_t kBlocksOfWriteMax = (32u << 20) / kBlockBytes;

  explicit DiskEncoder(std::shared_ptr<SourceContent> content);

  bool passes(std::span<const std::uint8_t> raw) override;
  Batch encode(std::span<const std::uint8_t> raw) override;
  void take_answers(std::span<const std::uint8_t> bytes) override;

 private:
  struct Range {
    std::uint64_t first;  // in blocks
    std::uint64_t end;
    bool has(std::uint64_t block) const { return block >= first && block < end; }
  };
  struct Pending {
    NbdRequest request;
    Range touched;  // empty unless it writes
    bool failed = false;
    std::vector<std::pair<std::uint64_t, Name>> blocks;  // that it writes whole
  };

  void export_chosen(std::string_view name) override;
  void request(const NbdRequest& request) override;
  void payload(std::span<const std::uint8_t> bytes) override;
  void unknown() override;
  void answered(std::uint64_t cookie, bool good) override;
  void failed(std::uint64_t cookie) override;
  std::uint64_t data_bytes(std::uint64_t cookie) override;

  void begin_write(const NbdRequest& request, Range touched);
  // A whole block of a write. The name, unless the block is not indexed.
  std::optional<Name> add_block(std::uint64_t block,
                                std::span<const std::uint8_t, kBlockBytes> content);
  void literal(std::span<const std::uint8_t> bytes);
  void refer(std::span<const std::uint8_t> block, const Name& name);
  void end_write();
  void give_up();

  std::shared_ptr<SourceContent> content_;
  // Of the encoding thread: the write whose payload goes by.
  Namer namer_;
  DiskReferences disks_;
  BatchWriter writer_;
  std::span<const std::uint8_t> unwritten_;  // of the range: not yet in the batch
  NbdRequestParser requests_;
  std::string export_name_;
  bool passing_ = false;  // this range goes as it is
  bool begun_ = false;    // the first request came
  bool watching_;         // until something unknown came
  std::uint64_t write_cookie_ = 0;
  std::uint64_t write_at_ = 0;  // bytes
  std::uint64_t write_end_ = 0;
  std::vector<std::uint8_t> part_;  // of a block whose rest comes in the next range
  std::vector<std::pair<std::uint64_t, Name>> write_blocks_;
  std::vector<Range> clashes_;  // under way when this write was sent
  // Of the answering thread.
  NbdReplyParser replies_;
  // Taken before SourceContent's. Guards what follows.
  std::mutex mutex_;
  std::optional<std::uint8_t> number_;  // none: nothing of this disk is indexed
  NbdPending<Pending> pending_;
};

}  // namespace drover::content
