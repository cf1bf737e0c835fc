// SPDX-License-Identifier: Apache-2.0
// What the destination holds of a move, shared by all its decoders: a bounded cache of guest pages,
// and the disks through a reader. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/error.h"
#include "content/ops.h"
#include "content/page_cache.h"
#include "content/running_zstd.h"
#include "content/source_content.h"

namespace drover::content {

// Reads a disk of this move as it is now. Called by decoders, each on its own thread.
class DiskReader {
 public:
  virtual ~DiskReader() = default;
  // Fills `out` with kBlockBytes for each of `offsets` (multiples of kBlockBytes, in no order) of
  // the export of that name. Blocks, within a deadline of its own. An error, also for a name that
  // is none of this move's disks, is a miss: the sender then sends the bytes.
  virtual Status read(const std::string& export_name, std::span<const std::uint64_t> offsets,
                      std::span<std::uint8_t> out) = 0;
  // A block that had this name a while ago, from where it is cheaper to read than read() does it.
  // It may be something else by now: the caller names it. False: none is known.
  virtual bool reads_files() const { return false; }  // otherwise it never is; never changes
  virtual bool read_named(const Name&, std::span<std::uint8_t, kBlockBytes>) { return false; }
};

// Files that the destination holds already. Called by decoders, each on its own thread.
class HeldReader {
 public:
  virtual ~HeldReader() = default;
  // Whether there is a file of that number, from 0; never changes. None from kHeldFilesMax on.
  virtual bool has(std::uint8_t file) const = 0;
  // As DiskReader::read, of file number `file` from 0. What the file lacks is an error: a miss.
  // REQUIRES: has(file).
  virtual Status read(std::uint8_t file, std::span<const std::uint64_t> offsets,
                      std::span<std::uint8_t> out) = 0;
};

struct DestinationLimits {
  std::size_t cache_bytes =
      64u << 20;  // guest pages; less than the source assumes only means misses
};

class DestinationContent {
 public:
  // Without a reader each reference to a disk is a miss; without `held` one to a held file is a
  // protocol error.
  explicit DestinationContent(const ContentKey& key, std::shared_ptr<DiskReader> reader = {},
                              DestinationLimits limits = {}, std::shared_ptr<HeldReader> held = {});

  const ContentKey& key() const { return key_; }

  // The move's one page cache, for the stream that asks first; null for every other. It is that
  // stream's alone from then on.
  PageCache* claim_cache();
  // False: as many streams as may have a running frame have one.
  bool claim_running() { return running_streams_++ < kRunningStreamsMax; }
  // kProtocol: the number stands for another export.
  Status define_disk(std::uint8_t number, const std::string& export_name);
  // Empty: not defined.
  std::string export_name(std::uint8_t number) const;
  // Blocks `where` (in units of kBlockBytes) of a disk, into `out`. False: a miss.
  bool read_disk(const std::string& export_name, std::span<const std::uint64_t> where,
                 std::span<std::uint8_t> out);
  // Likewise of the held file of this number, kHeldFirst and on.
  bool read_held(std::uint8_t disk, std::span<const std::uint64_t> where,
                 std::span<std::uint8_t> out);
  // As DiskReader::read_named.
  bool read_named(const Name& name, std::span<std::uint8_t, kBlockBytes> out);
  // kProtocol unless this number is a held file's.
  Status check_held(std::uint8_t disk) const;

 private:
  const ContentKey key_;
  const std::shared_ptr<DiskReader> reader_;
  const DestinationLimits limits_;
  const std::shared_ptr<HeldReader> held_;
  std::atomic<unsigned> running_streams_{0};
  mutable std::mutex mutex_;  // guards what follows; not held while a disk is read
  std::unique_ptr<PageCache> cache_;
  std::array<std::string, kDisksMax> export_names_;
};

}  // namespace drover::content
