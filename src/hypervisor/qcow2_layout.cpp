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
// Of an entry of the second level: its cluster reads as zeros.
constexpr std::uint64_t kReadsAsZeros = 1;
constexpr std::uint32_t kFormatOfBase = 0xe2792aca;  // an extension of the header
constexpr std::size_t kNameMost = 1023;
// QEMU opens no image with a larger table.
constexpr std::uint64_t kFirstLevelBytesMost = 32u << 20, kReferenceTableBytesMost = 8u << 20;

constexpr std::uint64_t parts_of(std::uint64_t whole, std::uint64_t part) {
  return (whole + part - 1) / part;
}

struct Clusters {
  std::uint64_t first, count;
};

// Those in which any of these bytes lies, each once, neighbours joined.
Result<std::vector<Clusters>> clusters_of(std::span<const ByteRange> ranges,
                                          std::uint64_t disk_bytes, std::uint64_t cluster) {
  std::vector<Clusters> found;
  std::uint64_t before = 0;
  for (const ByteRange& range : ranges) {
    if (range.offset < before || range.length > disk_bytes ||
        range.offset > disk_bytes - range.length) {
      return fail(ErrorCode::kInvalidArgument, "The data of a disk are not in order.");
    }
    before = range.offset + range.length;
    if (range.length == 0) continue;
    const std::uint64_t end = parts_of(before, cluster);
    const std::uint64_t placed = found.empty() ? 0 : found.back().first + found.back().count;
    const std::uint64_t first = std::max(range.offset / cluster, placed);
    if (first >= end) continue;
    if (!found.empty() && placed == first)
      found.back().count += end - first;
    else
      found.push_back({first, end - first});
  }
  return found;
}

}  // namespace

std::uint64_t Qcow2Layout::cluster_for(ByteCount cluster) {
  return cluster.bytes == 0 ? kClusterUsual : cluster.bytes;
}

Result<Qcow2Layout> Qcow2Layout::make(ByteCount virtual_size, ByteCount cluster,
                                      std::span<const ByteRange> data, const Qcow2Base* base) {
  Qcow2Layout made;
  made.virtual_size_ = virtual_size.bytes;
  made.cluster_ = cluster_for(cluster);
  if (!std::has_single_bit(made.cluster_) || made.cluster_ < kClusterLeast ||
      made.cluster_ > kClusterMost || virtual_size.bytes % 512 != 0) {
    return fail(ErrorCode::kInvalidArgument, "No qcow2 image has {} in clusters of {}.",
                to_text(virtual_size), to_text(ByteCount{made.cluster_}));
  }
  // QEMU wants the table even of an empty disk.
  made.first_level_entries_ =
      std::max<std::uint64_t>(1, parts_of(virtual_size.bytes, made.cluster_ * made.entries()));
  RETURN_IF_ERROR(made.add_data(data));
  if (base != nullptr) {
    RETURN_IF_ERROR(made.add_zeros(base->zeros));
    RETURN_IF_ERROR(made.name_base(*base));
  }
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
  ASSIGN_OR_RETURN(const auto clusters, clusters_of(data, virtual_size_, cluster_));
  for (const auto& [first, count] : clusters) {
    runs_.push_back({first, clusters_, count});
    clusters_ += count;
    need_tables(first, first + count);
  }
  return {};
}

Status Qcow2Layout::add_zeros(std::span<const ByteRange> zeros) {
  ASSIGN_OR_RETURN(const auto clusters, clusters_of(zeros, virtual_size_, cluster_));
  for (const auto& [first, count] : clusters) {
    zeros_.push_back({first, count});
    need_tables(first, first + count);
  }
  std::ranges::sort(tables_);
  tables_.erase(std::ranges::unique(tables_).begin(), tables_.end());
  return {};
}

void Qcow2Layout::need_tables(std::uint64_t first, std::uint64_t end) {
  const std::uint64_t last = (end - 1) / entries();
  for (std::uint64_t table = first / entries(); table <= last; ++table) {
    if (tables_.empty() || tables_.back() != table) tables_.push_back(table);
  }
}

// The name of the base's format as an extension of the header, the end of all extensions, the name
// of its file.
Status Qcow2Layout::name_base(const Qcow2Base& base) {
  const std::size_t padded = parts_of(base.format.size(), 8) * 8;
  naming_.resize(8 + padded + 8);
  store_be(&naming_[0], kFormatOfBase);
  store_be(&naming_[4], static_cast<std::uint32_t>(base.format.size()));
  std::ranges::copy(base.format, naming_.begin() + 8);
  name_at_ = kHeaderBytes + naming_.size();
  name_bytes_ = base.name.size();
  naming_.insert(naming_.end(), base.name.begin(), base.name.end());
  if (!base.name.empty() && base.name.size() <= kNameMost && !base.format.empty() &&
      kHeaderBytes + naming_.size() <= cluster_) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument,
              "No qcow2 image in clusters of {} can be based on \"{}\".",
              to_text(ByteCount{cluster_}), base.name);
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
  store_be(&into[8], name_at_);
  store_be(&into[16], static_cast<std::uint32_t>(name_bytes_));
  store_be(&into[20], static_cast<std::uint32_t>(std::countr_zero(cluster_)));
  store_be(&into[24], virtual_size_);
  store_be(&into[36], static_cast<std::uint32_t>(first_level_entries_));
  store_be(&into[40], first_level_ * cluster_);
  store_be(&into[48], reference_table_ * cluster_);
  store_be(&into[56], static_cast<std::uint32_t>(references_ - reference_table_));
  store_be(&into[96], kReferenceOrder);
  store_be(&into[100], kHeaderBytes);
  std::ranges::copy(naming_, into.begin() + kHeaderBytes);
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
  // Those from the first one on that does not end before the table begins.
  const auto each_within = [&](const auto& runs, const auto& tell) {
    auto run = std::ranges::upper_bound(runs, first, {},
                                        [](const auto& one) { return one.in_disk + one.count; });
    for (; run != runs.end() && run->in_disk < end; ++run) {
      const std::uint64_t to = std::min(end, run->in_disk + run->count);
      for (std::uint64_t i = std::max(first, run->in_disk); i < to; ++i)
        store_be(&into[(i - first) * 8], tell(*run, i));
    }
  };
  each_within(zeros_, [](const ZeroRun&, std::uint64_t) { return kReadsAsZeros; });
  each_within(runs_, [this](const Run& run, std::uint64_t i) {
    return ((run.in_file + (i - run.in_disk)) * cluster_) | kCopied;
  });
}

}  // namespace drover
