// SPDX-License-Identifier: Apache-2.0
#include "content/rebuild.h"

#include <algorithm>
#include <bitset>

#include "base/big_endian.h"

namespace drover::content {
namespace {

constexpr std::uint64_t kPageNumberMax = (std::uint64_t{1} << 52) - 1;

auto contradiction(const char* what) {
  return fail(ErrorCode::kProtocol, "The other mover sent a batch that {}.", what);
}

}  // namespace

Status Rebuild::run() {
  OpReader reader(batch_.ops);
  out_.reserve(raw_length_);
  std::size_t covered = 0;
  while (true) {
    ASSIGN_OR_RETURN(const auto op, reader.next());
    if (!op) break;
    covered += op->raw_bytes();
    if (covered > raw_length_) return contradiction("covers more than its frame");
    if (op->literal_bytes() > literals_.size()) return contradiction("lacks bytes");
    RETURN_IF_ERROR(apply(*op));
  }
  if (covered != raw_length_) return contradiction("covers less than its frame");
  if (!literals_.empty()) return contradiction("has bytes that it does not use");
  return {};
}

Status Rebuild::apply(const Op& op) {
  if (op.mode != HeaderMode::kNone) RETURN_IF_ERROR(move_to(op));
  switch (op.kind) {
    case OpKind::kLiteral:
      put(take_literals(op.count));
      return {};
    case OpKind::kHeader: {
      std::array<std::uint8_t, kRecordHeaderBytes> header;
      store_be(header.data(), op.where);
      put(header);
      put(op.text);
      page_ = op.where / kBlockBytes;
      page_known_ = true;
      return {};
    }
    case OpKind::kZeroPages:
      put_zero_pages(op);
      return {};
    case OpKind::kPages:
    case OpKind::kPlainPages:
      return put_pages(op);
    case OpKind::kSamePages:
      page_ += op.count - 1;
      return {};
    case OpKind::kCachedPage:
      if (op.mode != HeaderMode::kNone) put_header(kFlagPage);
      put_cached_page(op);
      return {};
    case OpKind::kDiskPage:
      if (op.mode != HeaderMode::kNone) put_header(kFlagPage);
      references_.push_back({out_.size(), op.name, op.disk, op.where});
      if (is_held(op.disk)) held_.set(op.disk);
      out_.resize(out_.size() + kBlockBytes);
      return {};
    case OpKind::kDisk:
      // A frame covers what it costs: definitions alone must not add up without bound.
      if (disks_.size() == kDisksMax) return contradiction("names too many disks");
      disks_.push_back({op.disk, std::string(op.text.begin(), op.text.end())});
      return {};
    case OpKind::kInvalid:
      break;
  }
  return contradiction("has an unknown operation");
}

// The page number of the op's first record; the last page of a run must still have an address.
Status Rebuild::move_to(const Op& op) {
  if (op.mode != HeaderMode::kAt && !page_known_) return contradiction("skips from no page");
  const std::uint64_t from = op.mode == HeaderMode::kAt ? 0 : page_;
  page_ = from + (op.mode == HeaderMode::kNext ? 1 : op.page);
  page_known_ = true;
  if (page_ + op.count - 1 > kPageNumberMax) return contradiction("has a page beyond all memory");
  return {};
}

void Rebuild::put_header(std::uint64_t flags) {
  std::array<std::uint8_t, kRecordHeaderBytes> header;
  store_be<std::uint64_t>(header.data(), page_ * kBlockBytes | flags | kFlagContinue);
  put(header);
}

void Rebuild::put_zero_pages(const Op& op) {
  for (std::uint64_t i = 0; i < op.count; ++i) {
    if (i > 0) ++page_;
    put_header(kFlagZero);
    out_.push_back(0);
  }
}

Status Rebuild::put_pages(const Op& op) {
  const bool bare = op.mode == HeaderMode::kNone;
  if (bare && op.count > 1 && (!page_known_ || page_ + op.count - 1 > kPageNumberMax)) {
    return contradiction("has a page beyond all memory");
  }
  for (std::uint64_t i = 0; i < op.count; ++i) {
    if (i > 0) ++page_;
    if (i > 0 || !bare) put_header(kFlagPage);
    if (op.kind == OpKind::kPages) to_cache_.push_back(out_.size());
    put(take_literals(kBlockBytes));
  }
  return {};
}

// The newest pages are those that this very batch brings.
void Rebuild::put_cached_page(const Op& op) {
  references_.push_back({out_.size(), op.name, kCopied, 0});
  if (op.where > 0 && op.where <= to_cache_.size()) {
    const std::size_t from = to_cache_[to_cache_.size() - op.where];
    out_.resize(out_.size() + kBlockBytes);
    std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(from), kBlockBytes,
                out_.end() - static_cast<std::ptrdiff_t>(kBlockBytes));
    return;
  }
  const std::uint8_t* page =
      cache_ == nullptr ? nullptr : cache_->find(op.where - to_cache_.size());
  missed_ = missed_ || page == nullptr;
  out_.resize(out_.size() + kBlockBytes);
  if (page != nullptr) std::copy_n(page, kBlockBytes, out_.end() - std::ptrdiff_t{kBlockBytes});
}

std::span<const std::uint8_t> Rebuild::take_literals(std::size_t count) {
  const auto taken = literals_.first(count);
  literals_ = literals_.subspan(count);
  return taken;
}

void Rebuild::put(std::span<const std::uint8_t> bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

bool Rebuild::fill_references(DestinationContent& content, const Namer& namer) {
  if (missed_) return false;
  read_named(content, namer);
  if (!read_disks(content)) return false;
  for (const Reference& reference : references_) {
    const std::span<const std::uint8_t, kBlockBytes> copy(out_.data() + reference.at, kBlockBytes);
    if (namer.name(copy) != reference.name) return false;
  }
  return true;
}

// This batch may be the one that defines it.
std::string Rebuild::export_name(const DestinationContent& content, std::uint8_t disk) const {
  const auto defined = std::ranges::find(disks_, disk, &Disk::number);
  return defined == disks_.end() ? content.export_name(disk) : defined->export_name;
}

// Blocks of this move's disks that lie in a file where they can be had at once.
void Rebuild::read_named(DestinationContent& content, const Namer& namer) {
  for (Reference& reference : references_) {
    if (reference.disk == kCopied || is_held(static_cast<std::uint8_t>(reference.disk))) continue;
    const std::span<std::uint8_t, kBlockBytes> place(out_.data() + reference.at, kBlockBytes);
    if (content.read_named(reference.name, place) && namer.name(place) == reference.name)
      reference.disk = kCopied;
  }
}

// One read for each disk, so that its requests are under way together.
bool Rebuild::read_disks(DestinationContent& content) {
  DiskNumbers used;
  for (const Reference& reference : references_) {
    if (reference.disk >= 0) used.set(static_cast<std::size_t>(reference.disk));
  }
  for (int disk = 0; disk < kDiskNumbersMax; ++disk) {
    if (used[static_cast<std::size_t>(disk)] && !read_disk(content, disk)) return false;
  }
  return true;
}

bool Rebuild::read_disk(DestinationContent& content, int disk) {
  std::vector<std::uint64_t> where;
  for (const Reference& reference : references_) {
    if (reference.disk == disk) where.push_back(reference.where);
  }
  std::vector<std::uint8_t> blocks(where.size() * kBlockBytes);
  const auto number = static_cast<std::uint8_t>(disk);
  const bool read = is_held(number)
                        ? content.read_held(number, where, blocks)
                        : content.read_disk(export_name(content, number), where, blocks);
  if (!read) return false;
  auto from = blocks.cbegin();
  for (const Reference& reference : references_) {
    if (reference.disk != disk) continue;
    std::copy_n(from, kBlockBytes, out_.begin() + static_cast<std::ptrdiff_t>(reference.at));
    from += std::ptrdiff_t{kBlockBytes};
  }
  return true;
}

}  // namespace drover::content
