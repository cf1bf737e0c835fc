// SPDX-License-Identifier: Apache-2.0
#include "content/source_content.h"

#include "content/running_zstd.h"
#include "content/veiled_name.h"

namespace drover::content {

SourceContent::SourceContent(const ContentKey& key, SourceLimits limits)
    : key_(key), limits_(limits) {}

// Disks come first; memory finds half of what there may be.
bool SourceContent::claim_running(bool disk) {
  return limits_.references && running_streams_.at(disk ? 1 : 0)++ < kRunningStreamsMax / 2;
}

std::size_t SourceContent::page_table_bytes() const {
  const std::lock_guard lock(mutex_);
  return index_ == nullptr ? limits_.index_bytes : limits_.index_bytes / 2;
}

std::optional<std::uint8_t> SourceContent::add_disk(const std::string& export_name) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    if (disks_[i].export_name != export_name) continue;
    drop(static_cast<std::uint8_t>(i));
    return {};
  }
  if (disks_.size() == kDisksMax || export_name.empty() ||
      export_name.size() > kExportNameBytesMax) {
    return {};
  }
  index();
  disks_.push_back({export_name});
  return static_cast<std::uint8_t>(disks_.size() - 1);
}

DiskIndex& SourceContent::index() {
  if (index_ == nullptr) index_ = std::make_unique<DiskIndex>(limits_.index_bytes / 2);
  return *index_;
}

void SourceContent::drop_disk(std::uint8_t disk) {
  const std::lock_guard lock(mutex_);
  drop(disk);
}

void SourceContent::drop(std::uint8_t disk) {
  disks_.at(disk).dropped = true;
  index_->forget_range(disk, 0, DiskIndex::kBlockMax + 1);
}

void SourceContent::add_blocks(std::uint8_t disk,
                               std::span<const std::pair<std::uint64_t, Name>> blocks) {
  const std::lock_guard lock(mutex_);
  if (disks_.at(disk).dropped) return;
  for (const auto& [block, name] : blocks) index_->put({disk, block}, name);
}

void SourceContent::forget_blocks(std::uint8_t disk, std::uint64_t first, std::uint64_t end) {
  const std::lock_guard lock(mutex_);
  index_->forget_range(disk, first, end);
}

void SourceContent::keep_pages(std::unique_ptr<PageKeeper> keeper) {
  const std::lock_guard lock(mutex_);
  keeper_ = std::move(keeper);
}

std::unique_ptr<PageKeeper> SourceContent::claim_keeper() {
  const std::lock_guard lock(mutex_);
  return std::move(keeper_);
}

void SourceContent::add_held(const DiskBlock& at, const Name& name) {
  DROVER_CHECK(is_held(at.disk));
  const std::lock_guard lock(mutex_);
  index().put(at, name);
  ++held_blocks_;
  if (at.disk == kHeldFirst + kKeptMemoryFile) names_memory_ = true;
  if (is_of_group(at.disk)) names_group_ = true;
}

std::optional<DiskBlock> SourceContent::find_on_disk(const Name& name) const {
  const std::lock_guard lock(mutex_);
  if (index_ == nullptr) return {};
  auto found = index_->find(name);
  // Of VMs of the group only veiled names are known.
  if (!found && names_group_) found = index_->find(veiled(name));
  return found;
}

std::string SourceContent::export_name(std::uint8_t disk) const {
  const std::lock_guard lock(mutex_);
  return disks_.at(disk).export_name;
}

}  // namespace drover::content
