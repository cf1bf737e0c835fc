// SPDX-License-Identifier: Apache-2.0
#include "content/encoder.h"

#include <algorithm>
#include <utility>

#include "content/disk_encoder.h"
#include "content/memory_encoder.h"

namespace drover::content {

std::size_t StreamEncoder::cut(std::span<const std::uint8_t> raw) const {
  return std::min(raw.size(), kBatchRawBytesMax);
}

Batch StreamEncoder::encode(std::span<const std::uint8_t> raw) { return literal_batch(raw); }

Encoder::Encoder(std::shared_ptr<SourceContent> content, StreamKind kind)
    : content_(std::move(content)), kind_(kind) {
  if (kind == StreamKind::kMemory) {
    stream_ = std::make_unique<MemoryEncoder>(content_);
  } else if (kind == StreamKind::kDisk) {
    stream_ = std::make_unique<DiskEncoder>(content_);
  } else {
    stream_ = std::make_unique<StreamEncoder>();
  }
}

std::shared_ptr<RunningPacker> Encoder::running() {
  if (!std::exchange(asked_for_running_, true) && kind_ != StreamKind::kOpaque &&
      content_->claim_running(kind_ == StreamKind::kDisk)) {
    running_ = std::make_shared<RunningPacker>();
  }
  return running_;
}

}  // namespace drover::content
