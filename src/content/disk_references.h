// SPDX-License-Identifier: Apache-2.0
// References of one stream to blocks that the destination's disks hold. Each disk is given its
// number within the stream, before the first reference to it, so streams need not wait for each
// other. One thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>

#include "content/batch_writer.h"
#include "content/source_content.h"

namespace drover::content {

class DiskReferences {
 public:
  explicit DiskReferences(std::shared_ptr<SourceContent> content) : content_(std::move(content)) {}

  // Where the content lies, if a reference to it may be made now.
  std::optional<DiskBlock> find(const Name& name) const;
  // As BatchWriter::reference. REQUIRES: `at` came from find().
  void write(const DiskBlock& at, const Name& name, std::optional<std::uint64_t> page,
             BatchWriter& writer);

 private:
  std::shared_ptr<SourceContent> content_;
  std::bitset<kDisksMax> defined_;
};

}  // namespace drover::content
