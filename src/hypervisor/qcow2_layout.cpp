// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qcow2_layout.h"

#include <algorithm>
#include <bit>

#include "base/big_endian.h"

namespace drover {
namespace {

constexpr std::uint32_t kMagic = 0x514649fb, kVersion = 3, kHeaderBytes = 104;
constexpr std::uint64_t kClusterUsual = 64u << 10, kClusterLeast = 512, kClusterMost = 2u << 20;
constexpr std::uint32_t kReferenceOrder = 4;  // 16 bits for each cluster
constexpr std::uint64_t kReferenceBytes = 2;
constexpr std::uint16_t kUsedOnce = 1;
// Of an entry of both levels: its cluster is used once, so it is written in place.
constexpr std::uint64_t kCopied = std::uint64_t{1} << 63;
// QEMU opens no image with a larger table.
constexpr std::uint64_t kFirstLevelBytesMost = 32u << 20, kReferenceTableBytesMost = 8u << 20;

constexpr std::uint64_t parts_of(std::uint64_t whole, std::uint64_t part) {
  return (whole + part - 1) / part;
}

}  // namespace

Result<Qcow2Layout> Qcow2Layout::make(ByteCount virtual_size, ByteCount cluster,
                                      std::span<const ByteRange> data) {
  Qcow2Layout made;
  made.virtual_size_ = virtual_size.bytes;
  made.cluster_ = cluster.bytes == 0 ? kClusterUsual : cluster.bytes;
  if (!std::has_single_bit(made.cluster_) || made.cluster_ < kClusterLeast ||
      made.cluster_ > kClusterMost || virtual_size.bytes % 512 != 0) {
    return fail(ErrorCode::kInvalidArgument, "No qcow2 image has {} in clusters of {}.",
                to_text(virtual_size), to_text(ByteCount{made.cluster_}));
  }
  // QEMU wants the table even of an empty disk.
  made.first_level_entries_ =
      std::max<std::uint64_t>(1, parts_of(virtual_size.bytes, made.cluster_ * made.entries()));
  RETURN_IF_ERROR(made.add_data(data));
  made.place_tables();
  if (made.first_level_entries_ * 8 > kFirstLevelBytesMost ||
      (made.references_ - made.reference_table_) * made.cluster_ > kReferenceTableBytesMost) {
    return fail(ErrorCode::kInvalidArgument, "{} are too much for a qcow2 image in clusters of {}.",
                to_text(virtual_size), to_text(ByteCount{made.cluster_}));
  }
  return made;
}

// Whole clusters, each once. Run::in_file counts from the first one with data, until it is known
// which that is.
Status Qcow2Layout::add_data(std::span<const ByteRange> data) {
  std::uint64_t free = 0, before = 0;
  for (const ByteRange& range : data) {
    if (range.offset < before || range.length > virtual_size_ ||
        range.offset > virtual_size_ - range.length) {
      return fail(ErrorCode::kInvalidArgument, "The data of a disk are not in order.");
    }
    before = range.offset + range.length;
    if (range.length == 0) continue;
    const std::uint64_t end = parts_of(before, cluster_);
    std::uint64_t first = range.offset / cluster_;
    const std::uint64_t placed = runs_.empty() ? 0 : runs_.back().in_disk + runs_.back().count;
    first = std::max(first, placed);
    if (first >= end) continue;
    if (!runs_.empty() && placed == first)
      runs_.back().count += end - first;
    else
      runs_.push_back({first, free, end - first});
    free += end - first;
    const std::uint64_t last_table = (end - 1) / entries();
    for (std::uint64_t table = first / entries(); table <= last_table; ++table) {
      if (tables_.empty() || tables_.back() != table) tables_.push_back(table);
    }
  }
  clusters_ = free;
  return {};
}

// Of how many clusters the references tell depends on how many they take themselves.
void Qcow2Layout::place_tables() {
  const std::uint64_t others =
      1 + parts_of(first_level_entries_ * 8, cluster_) + tables_.size() + clusters_;
  std::uint64_t blocks = 1, table = 1, before = 0;
  while (before != blocks + table) {
    before = blocks + table;
    blocks = parts_of(others + before, cluster_ / kReferenceBytes);
    table = parts_of(blocks * 8, cluster_);
  }
  reference_table_ = 1;
  references_ = reference_table_ + table;
  first_level_ = references_ + blocks;
  second_level_ = first_level_ + parts_of(first_level_entries_ * 8, cluster_);
  data_ = second_level_ + tables_.size();
  clusters_ += data_;
  for (Run& run : runs_) run.in_file += data_;
}

std::vector<Qcow2Layout::Part> Qcow2Layout::parts(ByteRange of_file) const {
  std::vector<Part> found;
  std::uint64_t at = of_file.offset;
  const std::uint64_t end = of_file.offset + of_file.length, tables_end = data_ * cluster_;
  DROVER_CHECK(end <= file_bytes());
  if (at < end && at < tables_end) {
    found.push_back({Part::Kind::kTables, std::min(end, tables_end) - at, at});
    at += found.back().length;
  }
  // The last one that begins at or before `at`.
  auto run = std::ranges::upper_bound(runs_, at / cluster_, {}, &Run::in_file);
  while (at < end) {
    const Run& here = *std::prev(run);
    const std::uint64_t in_disk = here.in_disk * cluster_ + (at - here.in_file * cluster_);
    const std::uint64_t length = std::min(end, (here.in_file + here.count) * cluster_) - at;
    // The last cluster of a disk may reach beyond its end.
    const std::uint64_t of_disk =
        std::min(length, virtual_size_ - std::min(in_disk, virtual_size_));
    if (of_disk != 0) found.push_back({Part::Kind::kDisk, of_disk, in_disk});
    if (of_disk != length) found.push_back({Part::Kind::kZeros, length - of_disk, 0});
    at += length;
    ++run;
  }
  return found;
}

void Qcow2Layout::write_tables(std::uint64_t offset, std::span<char> into) const {
  std::vector<std::uint8_t> cluster(cluster_);
  while (!into.empty()) {
    std::ranges::fill(cluster, std::uint8_t{0});
    write_cluster(offset / cluster_, cluster);
    const std::uint64_t skipped = offset % cluster_;
    const std::size_t length = std::min<std::size_t>(into.size(), cluster_ - skipped);
    std::copy_n(cluster.begin() + static_cast<std::ptrdiff_t>(skipped), length, into.begin());
    into = into.subspan(length);
    offset += length;
  }
}

void Qcow2Layout::write_cluster(std::uint64_t number, std::span<std::uint8_t> into) const {
  DROVER_CHECK(number < data_);
  if (number == 0) {
    write_header(into);
  } else if (number < references_) {
    const std::uint64_t first = (number - reference_table_) * entries();
    for (std::uint64_t i = first; i < first + entries() && references_ + i < first_level_; ++i)
      store_be(&into[(i - first) * 8], (references_ + i) * cluster_);
  } else if (number < first_level_) {
    write_references((number - references_) * (cluster_ / kReferenceBytes), into);
  } else if (number < second_level_) {
    write_first_level((number - first_level_) * entries(), into);
  } else {
    write_second_level(tables_[number - second_level_], into);
  }
}

void Qcow2Layout::write_header(std::span<std::uint8_t> into) const {
  store_be(&into[0], kMagic);
  store_be(&into[4], kVersion);
  store_be(&into[20], static_cast<std::uint32_t>(std::countr_zero(cluster_)));
  store_be(&into[24], virtual_size_);
  store_be(&into[36], static_cast<std::uint32_t>(first_level_entries_));
  store_be(&into[40], first_level_ * cluster_);
  store_be(&into[48], reference_table_ * cluster_);
  store_be(&into[56], static_cast<std::uint32_t>(references_ - reference_table_));
  store_be(&into[96], kReferenceOrder);
  store_be(&into[100], kHeaderBytes);
}

void Qcow2Layout::write_references(std::uint64_t first, std::span<std::uint8_t> into) const {
  const std::uint64_t count = cluster_ / kReferenceBytes;
  for (std::uint64_t i = 0; i < count && first + i < clusters_; ++i)
    store_be(&into[i * kReferenceBytes], kUsedOnce);
}

void Qcow2Layout::write_first_level(std::uint64_t first, std::span<std::uint8_t> into) const {
  auto table = std::ranges::lower_bound(tables_, first);
  for (; table != tables_.end() && *table < first + entries(); ++table) {
    const auto number = static_cast<std::uint64_t>(table - tables_.begin());
    store_be(&into[(*table - first) * 8], ((second_level_ + number) * cluster_) | kCopied);
  }
}

void Qcow2Layout::write_second_level(std::uint64_t table, std::span<std::uint8_t> into) const {
  const std::uint64_t first = table * entries(), end = first + entries();
  // The first one that does not end before the table begins.
  auto run = std::ranges::upper_bound(runs_, first, {},
                                      [](const Run& one) { return one.in_disk + one.count; });
  for (; run != runs_.end() && run->in_disk < end; ++run) {
    const std::uint64_t from = std::max(first, run->in_disk);
    const std::uint64_t to = std::min(end, run->in_disk + run->count);
    for (std::uint64_t i = from; i < to; ++i) {
      const std::uint64_t in_file = (run->in_file + (i - run->in_disk)) * cluster_;
      store_be(&into[(i - first) * 8], in_file | kCopied);
    }
  }
}

}  // namespace drover
