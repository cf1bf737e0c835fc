// SPDX-License-Identifier: Apache-2.0
#include "content/disk_encoder.h"

#include <algorithm>
#include <utility>

namespace drover::content {
DiskEncoder::DiskEncoder(std::shared_ptr<SourceContent> content)
    : content_(std::move(content)),
      namer_(content_->key()),
      disks_(content_),
      watching_(content_->limits().references) {}

// Requests are followed all the same: what they write over is held no more.
bool DiskEncoder::passes(std::span<const std::uint8_t> raw) {
  if (content_->names_content()) return false;
  passing_ = true;
  if (watching_) requests_.feed(raw, *this);
  passing_ = false;
  return true;
}

Batch DiskEncoder::encode(std::span<const std::uint8_t> raw) {
  unwritten_ = raw;
  if (watching_) requests_.feed(raw, *this);
  literal(unwritten_);
  return writer_.finish();
}

void DiskEncoder::literal(std::span<const std::uint8_t> bytes) {
  writer_.literal(bytes);
  content_->tally().literal_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
}

void DiskEncoder::take_answers(std::span<const std::uint8_t> bytes) { replies_.feed(bytes, *this); }

void DiskEncoder::export_chosen(std::string_view name) {
  if (!begun_) export_name_ = name;
}

void DiskEncoder::request(const NbdRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(begun_, true)) number_ = content_->add_disk(export_name_);
  if (!number_ || request.command == NbdCommand::kDisconnect) return;
  if (!pending_.takes(request)) return give_up();
  Range touched{0, 0};
  if (request.writes()) {
    touched = {request.offset / kBlockBytes,
               (request.offset + request.length + kBlockBytes - 1) / kBlockBytes};
    begin_write(request, touched);
  }
  pending_.add({request, touched, false, {}});
}

// Before it is sent: from now on the blocks hold the old or the new content, nobody knows which.
void DiskEncoder::begin_write(const NbdRequest& request, Range touched) {
  content_->forget_blocks(*number_, touched.first, touched.end);
  clashes_.clear();
  for (Pending& other : pending_) {
    if (other.touched.first >= touched.end || touched.first >= other.touched.end) continue;
    clashes_.push_back(other.touched);
    std::erase_if(other.blocks, [&](const auto& block) { return touched.has(block.first); });
  }
  if (request.command != NbdCommand::kWrite) return;
  write_cookie_ = request.cookie;
  write_at_ = request.offset;
  write_end_ = request.offset + request.length;
  write_blocks_.clear();
  part_.clear();
}

void DiskEncoder::payload(std::span<const std::uint8_t> bytes) {
  if (write_at_ == write_end_) return;  // of a write that nobody watches
  while (!bytes.empty()) {
    const std::uint64_t in_block = write_at_ % kBlockBytes;
    const auto here = bytes.first(std::min<std::uint64_t>(kBlockBytes - in_block, bytes.size()));
    if (here.size() == kBlockBytes) {
      const auto name = add_block(write_at_ / kBlockBytes, here.first<kBlockBytes>());
      if (name) refer(here, *name);
    } else if (in_block == part_.size()) {  // else the write began in the block's middle
      part_.insert(part_.end(), here.begin(), here.end());
    }
    write_at_ += here.size();
    bytes = bytes.subspan(here.size());
    if (write_at_ % kBlockBytes != 0) continue;
    if (part_.size() == kBlockBytes) {
      add_block(write_at_ / kBlockBytes - 1, std::span(part_).first<kBlockBytes>());
    }
    part_.clear();
  }
  if (write_at_ == write_end_) end_write();
}

std::optional<Name> DiskEncoder::add_block(std::uint64_t block,
                                           std::span<const std::uint8_t, kBlockBytes> content) {
  const auto clashed = [&](const Range& range) { return range.has(block); };
  if (write_blocks_.size() == kBlocksOfWriteMax || std::ranges::any_of(clashes_, clashed))
    return {};
  if (passing_ || !content_->names_content()) return {};
  if (is_zero(content)) return {};  // memory has its own mark for zeros, and here they compress
  const Name name = namer_.name(content);
  write_blocks_.emplace_back(block, name);
  return name;
}

// REQUIRES: `block` lies in unwritten_.
void DiskEncoder::refer(std::span<const std::uint8_t> block, const Name& name) {
  const auto at = disks_.find(name);
  if (!at) return;
  literal({unwritten_.data(), block.data()});
  disks_.write(*at, name, {}, writer_);
  Tally& tally = content_->tally();
  tally.of_reference(at->disk, tally.disk_blocks).fetch_add(1, std::memory_order_relaxed);
  unwritten_ = {block.data() + block.size(), unwritten_.data() + unwritten_.size()};
}

void DiskEncoder::end_write() {
  const std::lock_guard lock(mutex_);
  if (Pending* found = pending_.find(write_cookie_))
    found->blocks = std::exchange(write_blocks_, {});
}

void DiskEncoder::unknown() {
  const std::lock_guard lock(mutex_);
  give_up();
}

// A write that is not understood could go anywhere.
void DiskEncoder::give_up() {
  if (number_) content_->drop_disk(*number_);
  number_.reset();
  pending_.clear();
  watching_ = false;
  write_at_ = write_end_ = 0;
}

void DiskEncoder::answered(std::uint64_t cookie, bool good) {
  const std::lock_guard lock(mutex_);
  const Pending* found = pending_.find(cookie);
  if (found == nullptr) return;
  if (good && !found->failed && number_) content_->add_blocks(*number_, found->blocks);
  pending_.erase(found);
}

void DiskEncoder::failed(std::uint64_t cookie) {
  const std::lock_guard lock(mutex_);
  if (Pending* found = pending_.find(cookie)) found->failed = true;
}

std::uint64_t DiskEncoder::data_bytes(std::uint64_t cookie) {
  const std::lock_guard lock(mutex_);
  return pending_.data_bytes(cookie);
}

}  // namespace drover::content
