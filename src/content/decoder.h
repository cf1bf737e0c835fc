// SPDX-License-Identifier: Apache-2.0
// Turns the batches of one incoming stream into bytes again. One thread, in stream order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "content/batch.h"
#include "content/content_name.h"
#include "content/destination_content.h"

namespace drover::content {

class Decoder {
 public:
  explicit Decoder(std::shared_ptr<DestinationContent> content);

  // Each PACKED frame's payload once, before decode(). kProtocol as unpack() (batch.h) has it.
  Result<Batch> unpack(std::span<const std::uint8_t> payload, std::size_t raw_length);

  // The bytes for the local socket: at most raw_length of them, fewer where pages are dropped that
  // the guest's memory has already. Nothing: a miss, content is not held or its name differs; no
  // state has changed, and the caller asks the sender for the mended range (batch.h) and calls
  // again with it. kProtocol ends the session. May read disks, so it may block.
  Result<std::optional<std::vector<std::uint8_t>>> decode(const Batch& batch,
                                                          std::size_t raw_length);

 private:
  std::shared_ptr<DestinationContent> content_;
  Namer namer_;
  PageCache* cache_ = nullptr;                // from the first page that it is to take
  std::unique_ptr<RunningUnpacker> running_;  // from the first part that it is to unpack
};

}  // namespace drover::content
