// SPDX-License-Identifier: Apache-2.0
#include "content/write_log.h"

#include <algorithm>
#include <utility>

namespace drover::content {
namespace {

// Names are kept until the answer: NBD servers take writes of 32 MiB.
constexpr std::size_t kNamesOfWriteMax = (32u << 20) / kBlockBytes;
}  // namespace

// Nothing here is secret, and both hosts must be able to compare after their daemons were
// restarted: a key that everybody knows.
WriteLog::WriteLog(std::shared_ptr<WriteRecord> record)
    : record_(std::move(record)), namer_(ContentKey{}) {}

WriteLog::~WriteLog() {
  if (!begun_) return;
  for (const Pending& write : pending_) put_unknown(write.touched);
  record_->end(disk_);
}

void WriteLog::export_chosen(std::string_view name) {
  if (!begun_) export_name_ = name;
}

void WriteLog::request(const NbdRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(begun_, true)) disk_ = record_->add_disk(export_name_);
  if (lost_ || request.command == NbdCommand::kDisconnect) return;
  if (!pending_.takes(request)) return give_up();
  Pending pending;
  pending.request = request;
  if (request.writes()) {
    const std::uint64_t end = request.offset + request.length;
    pending.touched = {request.offset / kBlockBytes, (end + kBlockBytes - 1) / kBlockBytes};
    pending.whole = {(request.offset + kBlockBytes - 1) / kBlockBytes, end / kBlockBytes};
    pending.whole.end = std::max(pending.whole.first, pending.whole.end);
    for (Pending& other : pending_) {
      const Run both{std::max(other.touched.first, pending.touched.first),
                     std::min(other.touched.end, pending.touched.end)};
      if (both.first >= both.end) continue;
      other.clashes.push_back(both);
      pending.clashes.push_back(both);
    }
  }
  if (request.command == NbdCommand::kWrite) {
    write_cookie_ = request.cookie;
    write_at_ = request.offset;
    write_end_ = request.offset + request.length;
    names_.clear();
    part_.clear();
  }
  pending_.add(std::move(pending));
}

void WriteLog::payload(std::span<const std::uint8_t> bytes) {
  if (write_at_ == write_end_) return;  // of a write that nobody watches
  while (!bytes.empty()) {
    const std::uint64_t in_block = write_at_ % kBlockBytes;
    const auto here = bytes.first(std::min<std::uint64_t>(kBlockBytes - in_block, bytes.size()));
    if (here.size() == kBlockBytes) {
      name_block(here);
    } else if (in_block == part_.size()) {  // else the write began in the block's middle
      part_.insert(part_.end(), here.begin(), here.end());
      if (part_.size() == kBlockBytes) name_block(part_);
    }
    write_at_ += here.size();
    bytes = bytes.subspan(here.size());
    if (write_at_ % kBlockBytes == 0) part_.clear();
  }
  if (write_at_ != write_end_) return;
  const std::lock_guard lock(mutex_);
  if (Pending* found = pending_.find(write_cookie_)) found->names = std::exchange(names_, {});
}

void WriteLog::name_block(std::span<const std::uint8_t> block) {
  if (names_.size() == kNamesOfWriteMax) return;
  names_.push_back(is_zero(block) ? kZeroName : namer_.name(block.first<kBlockBytes>()));
}

void WriteLog::unknown() {
  const std::lock_guard lock(mutex_);
  give_up();
}

// A write that is not understood could go anywhere.
void WriteLog::give_up() {
  if (!std::exchange(begun_, true)) disk_ = record_->add_disk(export_name_);
  if (!lost_) record_->run(disk_, 0, kNbdDiskBytesMax / kBlockBytes, kUnknownName);
  lost_ = true;
  pending_.clear();
  write_at_ = write_end_ = 0;
}

void WriteLog::answered(std::uint64_t cookie, bool good) {
  const std::lock_guard lock(mutex_);
  const Pending* found = pending_.find(cookie);
  if (found == nullptr) return;
  if (good && !found->failed)
    put_down(*found);
  else
    put_unknown(found->touched);
  pending_.erase(found);
}

void WriteLog::put_down(const Pending& write) {
  if (!write.request.writes()) return;
  const auto& [first, end] = write.whole;
  put_unknown({write.touched.first, first});
  put_unknown({end, write.touched.end});
  if (write.request.command != NbdCommand::kWrite) {
    record_->run(disk_, first, end - first, kZeroName);
  } else {
    record_->blocks(disk_, first, write.names);
    put_unknown({first + write.names.size(), end});
  }
  for (const Run& clash : write.clashes) put_unknown(clash);
}

void WriteLog::put_unknown(const Run& run) {
  if (run.first < run.end) record_->run(disk_, run.first, run.end - run.first, kUnknownName);
}

void WriteLog::failed(std::uint64_t cookie) {
  const std::lock_guard lock(mutex_);
  if (Pending* found = pending_.find(cookie)) found->failed = true;
}

std::uint64_t WriteLog::data_bytes(std::uint64_t cookie) {
  const std::lock_guard lock(mutex_);
  return pending_.data_bytes(cookie);
}

}  // namespace drover::content
