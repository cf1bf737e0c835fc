// SPDX-License-Identifier: Apache-2.0
// What the source knows of the destination's content, shared by all encoders of a move. Its own
// mutexes guard it: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "content/disk_index.h"
#include "content/page_keeper.h"

namespace drover::content {

// The key under which this move's content is named; both sides derive it from the move's secret.
using ContentKey = std::array<std::uint8_t, 32>;

struct SourceLimits {
  std::size_t index_bytes = 64u << 20;  // names of guest pages and disk blocks together
  std::size_t cache_bytes = 64u << 20;  // of the receiver's page cache; not held here
  // Off: zero pages are marks, all else is bytes, each range by itself; nothing is named.
  bool references = true;
};

// Pages and bytes by how they travelled, of all streams of a move.
struct Tally {
  std::atomic<std::uint64_t> zero_pages{0};
  std::atomic<std::uint64_t> same_pages{0};    // unchanged since they were sent: dropped
  std::atomic<std::uint64_t> cached_pages{0};  // references to the receiver's page cache
  std::atomic<std::uint64_t> disk_pages{0};    // references to the receiver's disks
  // References of both to files that the receiver holds: of an earlier move, of VMs of the group.
  std::atomic<std::uint64_t> held_blocks{0};
  std::atomic<std::uint64_t> group_blocks{0};
  std::atomic<std::uint64_t> literal_pages{0};
  std::atomic<std::uint64_t> disk_blocks{
      0};  // of disks' streams: references to the receiver's disks
  std::atomic<std::uint64_t> resent_pages{0};   // of all the above but zero: not the first time
  std::atomic<std::uint64_t> literal_bytes{0};  // before compression: pages, disks, all else

  // Where a reference to that number counts; `disks`: if it is a disk's.
  std::atomic<std::uint64_t>& of_reference(std::uint8_t disk, std::atomic<std::uint64_t>& disks) {
    if (!is_held(disk)) return disks;
    return is_of_group(disk) ? group_blocks : held_blocks;
  }
};

class SourceContent {
 public:
  explicit SourceContent(const ContentKey& key, SourceLimits limits = {});

  const ContentKey& key() const { return key_; }
  const SourceLimits& limits() const { return limits_; }
  Tally& tally() { return tally_; }

  // Names cost both sides processor time: they are made while references save more than that. Not
  // made: nothing new is referred to, and what was named stays known.
  void name_content(bool on) { names_content_ = on; }
  bool names_content() const { return names_content_; }
  // References to disks cost the destination a read: on only while the link costs more, and the
  // destination can read. Off at first.
  void refer_to_disks(bool on) { refer_to_disks_ = on; }
  bool refers_to_disks() const { return refer_to_disks_ && !guest_stopped_; }
  // The same for files that the destination holds already, once it has named something in them: to
  // read a local file is cheap, whatever the link, and it has just been read. So the pause is
  // shorter with them too; but a group's may have changed since, and to mend that takes a round
  // trip.
  bool refers_to_held(std::uint8_t file) const {
    return held_blocks_ > 0 && !(guest_stopped_ && is_of_group(file));
  }
  bool refers_to_any() const { return held_blocks_ > 0 || refers_to_disks(); }
  // From now on a reference to a disk would prolong the pause.
  void guest_has_stopped() { guest_stopped_ = true; }
  bool guest_is_stopped() const { return guest_stopped_; }

  // "Same as this address had" is true only while one stream writes the guest's memory.
  void add_memory_stream() { ++memory_streams_; }
  bool only_memory_stream() const { return memory_streams_ == 1; }
  // True for the first stream that asks: the receiver has one page cache for a move.
  bool claim_cache() { return !cache_claimed_.exchange(true); }
  // False: as many streams of that kind as may have a running frame have one.
  bool claim_running(bool disk);
  // Keeps the pages of the first memory stream that asks. Before any stream.
  void keep_pages(std::unique_ptr<PageKeeper> keeper);
  // Null: nothing is kept, or another stream's pages are.
  std::unique_ptr<PageKeeper> claim_keeper();
  // What a memory stream's table may take of the index: half of it once there are disks, whose
  // streams always come before.
  std::size_t page_table_bytes() const;

  // A number for a disk whose stream begins. None: too many, or the export has a stream already;
  // then nobody can say in which order the two write, and nothing of that disk is referred to.
  std::optional<std::uint8_t> add_disk(const std::string& export_name);
  // Nothing of this disk is known from now on.
  void drop_disk(std::uint8_t disk);
  // The destination has said that it wrote these blocks, and nothing is under way to them.
  void add_blocks(std::uint8_t disk, std::span<const std::pair<std::uint64_t, Name>> blocks);
  // A write to blocks [first, end) is about to be sent.
  void forget_blocks(std::uint8_t disk, std::uint64_t first, std::uint64_t end);
  // The destination says that a file which it held before the move has this content there.
  void add_held(const DiskBlock& at, const Name& name);
  // How often that was said.
  std::uint64_t held_blocks() const { return held_blocks_; }
  // Of files alone: what it kept of the guest's memory comes last, and has begun to.
  bool held_disks_are_named() const { return names_memory_; }
  // Of either kind.
  std::optional<DiskBlock> find_on_disk(const Name& name) const;
  // REQUIRES: a number that add_disk gave.
  std::string export_name(std::uint8_t disk) const;

 private:
  static constexpr std::size_t kExportNameBytesMax = 255;  // its length travels in a byte
  void drop(std::uint8_t disk);
  DiskIndex& index();

  const ContentKey key_;
  const SourceLimits limits_;
  Tally tally_;
  std::atomic<bool> names_content_{true};
  std::atomic<bool> refer_to_disks_{false};
  std::atomic<bool> guest_stopped_{false};
  std::atomic<std::uint64_t> held_blocks_{0};
  std::atomic<bool> names_memory_{false};
  std::atomic<bool> names_group_{false};
  std::atomic<unsigned> memory_streams_{0};
  std::atomic<bool> cache_claimed_{false};
  std::array<std::atomic<unsigned>, 2> running_streams_{};  // of memory, of disks
  mutable std::mutex mutex_;  // guards what follows; taken after a DiskEncoder's
  std::unique_ptr<DiskIndex> index_;
  std::unique_ptr<PageKeeper> keeper_;
  struct Disk {
    std::string export_name;
    bool dropped = false;
  };
  std::vector<Disk> disks_;  // by number
};

}  // namespace drover::content
