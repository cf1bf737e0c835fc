// SPDX-License-Identifier: Apache-2.0
#include "content/decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "content/rebuild.h"

namespace drover::content {

Decoder::Decoder(std::shared_ptr<DestinationContent> content)
    : content_(std::move(content)), namer_(content_->key()) {}

Result<Batch> Decoder::unpack(std::span<const std::uint8_t> payload, std::size_t raw_length) {
  if (!stands_alone(payload) && running_ == nullptr && content_->claim_running()) {
    running_ = std::make_unique<RunningUnpacker>();
  }
  return content::unpack(payload, raw_length, running_.get());
}

Result<std::optional<std::vector<std::uint8_t>>> Decoder::decode(const Batch& batch,
                                                                 std::size_t raw_length) {
  Rebuild rebuild(batch, raw_length, cache_);
  RETURN_IF_ERROR(rebuild.run());
  for (std::uint8_t disk = kHeldFirst; disk < kDiskNumbersMax && rebuild.held().any(); ++disk) {
    if (rebuild.held()[disk]) RETURN_IF_ERROR(content_->check_held(disk));
  }
  if (!rebuild.fill_references(*content_, namer_)) return std::nullopt;
  // From here nothing misses: what the batch teaches is learnt now, and only once.
  for (const auto& disk : rebuild.disks()) {
    RETURN_IF_ERROR(content_->define_disk(disk.number, disk.export_name));
  }
  if (cache_ == nullptr && !rebuild.pages_to_cache().empty()) {
    cache_ = content_->claim_cache();
    if (cache_ == nullptr) {
      return fail(ErrorCode::kProtocol, "Two streams of the other mover use the page cache.");
    }
  }
  for (const std::size_t at : rebuild.pages_to_cache()) {
    cache_->put(std::span(rebuild.bytes()).subspan(at, kBlockBytes));
  }
  return std::move(rebuild.bytes());
}

}  // namespace drover::content
