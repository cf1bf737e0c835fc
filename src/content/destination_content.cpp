// SPDX-License-Identifier: Apache-2.0
#include "content/destination_content.h"

#include <utility>
#include <vector>

namespace drover::content {
namespace {

std::vector<std::uint64_t> offsets_of(std::span<const std::uint64_t> where) {
  std::vector<std::uint64_t> offsets;
  offsets.reserve(where.size());
  for (const std::uint64_t block : where) offsets.push_back(block * kBlockBytes);
  return offsets;
}

}  // namespace

DestinationContent::DestinationContent(const ContentKey& key, std::shared_ptr<DiskReader> reader,
                                       DestinationLimits limits, std::shared_ptr<HeldReader> held)
    : key_(key), reader_(std::move(reader)), limits_(limits), held_(std::move(held)) {}

PageCache* DestinationContent::claim_cache() {
  const std::lock_guard lock(mutex_);
  if (cache_ != nullptr) return nullptr;
  cache_ = std::make_unique<PageCache>(limits_.cache_bytes);
  return cache_.get();
}

Status DestinationContent::define_disk(std::uint8_t number, const std::string& export_name) {
  const std::lock_guard lock(mutex_);
  std::string& known = export_names_.at(number);
  if (export_name.empty() || (!known.empty() && known != export_name)) {
    return fail(ErrorCode::kProtocol, "The other mover gave disk {} two names.", number);
  }
  known = export_name;
  return {};
}

std::string DestinationContent::export_name(std::uint8_t number) const {
  const std::lock_guard lock(mutex_);
  return export_names_.at(number);
}

bool DestinationContent::read_disk(const std::string& export_name,
                                   std::span<const std::uint64_t> where,
                                   std::span<std::uint8_t> out) {
  if (reader_ == nullptr || export_name.empty()) return false;
  return reader_->read(export_name, offsets_of(where), out).has_value();
}

bool DestinationContent::read_named(const Name& name, std::span<std::uint8_t, kBlockBytes> out) {
  return reader_ != nullptr && reader_->read_named(name, out);
}

bool DestinationContent::read_held(std::uint8_t disk, std::span<const std::uint64_t> where,
                                   std::span<std::uint8_t> out) {
  DROVER_CHECK(check_held(disk).has_value());
  const auto file = static_cast<std::uint8_t>(disk - kHeldFirst);
  return held_->read(file, offsets_of(where), out).has_value();
}

Status DestinationContent::check_held(std::uint8_t disk) const {
  if (is_held(disk) && held_ != nullptr &&
      held_->has(static_cast<std::uint8_t>(disk - kHeldFirst))) {
    return {};
  }
  return fail(ErrorCode::kProtocol, "The other mover refers to file {}, which was not offered.",
              disk);
}

}  // namespace drover::content
