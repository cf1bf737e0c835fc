// SPDX-License-Identifier: Apache-2.0
// One batch being turned into bytes, without a change to any state: what it would teach is kept
// aside until all of it is known to be there. One thread; lives no longer than the batch.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "content/content_name.h"
#include "content/destination_content.h"
#include "content/ops.h"
#include "content/page_cache.h"

namespace drover::content {

class Rebuild {
 public:
  using DiskNumbers = std::bitset<kDiskNumbersMax>;
  struct Disk {
    std::uint8_t number;
    std::string export_name;
  };

  // `cache` may be null: nothing is cached.
  Rebuild(const Batch& batch, std::size_t raw_length, const PageCache* cache)
      : batch_(batch), raw_length_(raw_length), literals_(batch.literals), cache_(cache) {}

  // Everything but the content of disks. kProtocol: the batch contradicts itself or its frame.
  Status run();
  // The held files that it refers to.
  const DiskNumbers& held() const { return held_; }
  // Reads disks and verifies each referenced block where it now lies. False: a miss.
  // REQUIRES: run() succeeded, and all of held() are there.
  bool fill_references(DestinationContent& content, const Namer& namer);

  std::vector<std::uint8_t>& bytes() { return out_; }
  // Where in bytes() pages lie that the cache is to take, in order.
  const std::vector<std::size_t>& pages_to_cache() const { return to_cache_; }
  const std::vector<Disk>& disks() const { return disks_; }

 private:
  static constexpr int kCopied = -1;
  struct Reference {
    std::size_t at;  // in out_
    Name name;
    int disk;  // kCopied: nothing is left to be read
    std::uint64_t where;
  };
  Status apply(const Op& op);
  Status move_to(const Op& op);
  void put_header(std::uint64_t flags);
  Status put_pages(const Op& op);
  void put_zero_pages(const Op& op);
  void put_cached_page(const Op& op);
  std::span<const std::uint8_t> take_literals(std::size_t count);
  void put(std::span<const std::uint8_t> bytes);
  void read_named(DestinationContent& content, const Namer& namer);
  bool read_disks(DestinationContent& content);
  bool read_disk(DestinationContent& content, int disk);
  std::string export_name(const DestinationContent& content, std::uint8_t disk) const;

  const Batch& batch_;
  const std::size_t raw_length_;
  std::span<const std::uint8_t> literals_;
  const PageCache* cache_;
  std::uint64_t page_ = 0;   // number of the last page record's page
  bool page_known_ = false;  // a page record came in this batch
  bool missed_ = false;      // a page that the cache has not
  std::vector<std::uint8_t> out_;
  std::vector<std::size_t> to_cache_;
  std::vector<Reference> references_;
  std::vector<Disk> disks_;
  DiskNumbers held_;
};

}  // namespace drover::content
