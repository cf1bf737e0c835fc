// SPDX-License-Identifier: Apache-2.0
// Held content through a pair of sessions: what the destination names need not travel, whatever
// happens to the links and to the files.
#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content/held_names.h"
#include "mover/held_pump.h"
#include "mover/mirrored_disk_fixture.h"
#include "mover/session_fixture.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;
using content::Bytes;
using content::kBlockBytes;

// A file as the block's contents say; 0 is a hole.
UniqueFd file_of(const std::vector<std::uint64_t>& contents) {
  UniqueFd fd(::memfd_create("held", MFD_CLOEXEC));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(contents.size() * kBlockBytes)), 0);
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if (contents[i] == 0) continue;
    const Bytes page = content::page_of(contents[i]);
    EXPECT_EQ(::pwrite(fd.get(), page.data(), page.size(), static_cast<off_t>(i * kBlockBytes)),
              static_cast<ssize_t>(page.size()));
  }
  return fd;
}

std::shared_ptr<HeldFiles> held(std::vector<UniqueFd> files) {
  return std::make_shared<HeldFiles>(std::move(files));
}

// All of a MirroredDisk, in another order and with gaps, over two files.
std::shared_ptr<HeldFiles> all_of_the_disk() {
  std::vector<std::uint64_t> first{0, 0}, second;
  for (std::uint64_t content = MirroredDisk::kBlocks; content > 0; --content) {
    (content % 3 == 0 ? first : second).push_back(content);
    if (content % 100 == 0) second.push_back(0);
  }
  std::vector<UniqueFd> files;
  files.push_back(file_of(first));
  files.push_back(file_of(second));
  return held(std::move(files));
}

TEST(HeldFiles, GiveBlocksInAnyOrderAndNothingBeyondTheirEnd) {
  std::vector<UniqueFd> given;
  given.push_back(file_of({5, 6, 7, 8}));
  HeldFiles files(std::move(given));
  Bytes out(3 * kBlockBytes);
  ASSERT_TRUE(files.read(0, std::vector<std::uint64_t>{8192, 12288, 0}, out));
  for (const auto& [at, content] : {std::pair{0, 7}, {1, 8}, {2, 5}}) {
    const auto block = std::span(out).subspan(static_cast<std::size_t>(at) * kBlockBytes);
    EXPECT_TRUE(std::ranges::equal(block.first(kBlockBytes),
                                   content::page_of(static_cast<std::uint64_t>(content))));
  }
  out.resize(kBlockBytes);
  EXPECT_FALSE(files.read(0, std::vector<std::uint64_t>{16384}, out));
  EXPECT_FALSE(files.read(0, std::vector<std::uint64_t>{14000}, out));
}

TEST(HeldFiles, TellWhereTheyHaveData) {
  std::vector<UniqueFd> given;
  given.push_back(file_of({0, 0, 7, 8, 0, 9, 0}));
  given.push_back(file_of({0, 0}));
  const HeldFiles files(std::move(given));
  const auto first = files.next_extent(0, 0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->begin, 2 * kBlockBytes);
  EXPECT_EQ(first->end, 4 * kBlockBytes);
  ASSERT_TRUE(files.next_extent(0, first->end));
  EXPECT_FALSE(files.next_extent(0, 6 * kBlockBytes));
  EXPECT_FALSE(files.next_extent(1, 0));
}

// Keeps what is said of held files.
class Listener : public StreamOwner {
 public:
  std::size_t reserve(Stream&) override { return kReadLeastBytes; }
  void took(Stream&, Chunk chunk) override { EXPECT_TRUE(reader_.feed(chunk.view())); }
  void reading_ended(Stream&) override { ended = true; }
  void await_names(Stream&) override { FAIL(); }
  void took_range(Stream&, Range) override { FAIL(); }
  std::optional<Frame> next_to_write(Stream&) override { return {}; }
  void wrote(Stream&, std::size_t) override { FAIL(); }
  void missed(Stream&, const FrameHeader&) override { FAIL(); }
  void broken(Stream&, const Error&) override { FAIL(); }
  void local_reader_gone(Stream&) override { FAIL(); }
  void writing_ended(Stream&) override { FAIL(); }

  std::vector<int> files;  // of each block that was named
  bool ended = false;

 private:
  content::HeldRunReader reader_{[this](const content::DiskBlock& at, const content::Name&) {
    files.push_back(at.disk - content::kHeldFirst);
  }};
};

// A source's disks wait for the names of disks alone: kept memory comes last.
TEST(NameHeld, OwnDisksComeFirstAndKeptMemoryLast) {
  std::vector<std::uint64_t> contents(2'000);
  std::uint64_t content = 0;
  const auto next = [&] {
    for (std::uint64_t& each : contents) each = ++content;
    return file_of(contents);
  };
  std::vector<UniqueFd> own, group;
  own.push_back(next());
  own.push_back(next());
  group.push_back(next());
  group.push_back(next());
  const HeldFiles files(std::move(own), std::move(group), KeptMemory{next(), {}});
  Stream stream(kFirstOpenedStream, StreamKind::kHeld, kWindowMin);
  Listener listener;
  // It lowers its thread's priority.
  std::jthread([&] { name_held(listener, stream, files, content::ContentKey{7}); }).join();
  EXPECT_TRUE(listener.ended);
  EXPECT_EQ(listener.files.size(), content);
  const auto phase = [](int file) {
    if (file == content::kKeptMemoryFile) return 2;
    return file < content::kOwnDisksMax ? 0 : 1;
  };
  EXPECT_TRUE(std::ranges::is_sorted(listener.files, {}, phase));
  EXPECT_EQ(phase(listener.files.back()), 2);
}

TEST(SessionHeld, WhatTheDestinationHoldsDoesNotTravel) {
  // Where names come slowly, as on a machine that is busy with other tests, they are not waited
  // for.
  SessionStatus status;
  for (int attempt = 0; attempt < 8 && status.content.held_blocks < MirroredDisk::kBlocks;
       ++attempt) {
    SessionPair pair({.held = all_of_the_disk()});
    pair.link(1);
    auto nbd = pair.open(StreamKind::kDisks);
    ASSERT_TRUE(nbd);
    content::TestDisks disks;
    const MirroredDisk disk(*nbd, disks);
    status = pair.source->status();
  }
  EXPECT_EQ(status.content.held_blocks, MirroredDisk::kBlocks);
  EXPECT_EQ(status.content.misses, 0u);
  EXPECT_LT(status.bytes_sent, MirroredDisk::kBlocks * 100);
}

TEST(SessionHeld, ContentOfAnotherDiskSavesNothingAndHarmsNothing) {
  std::vector<UniqueFd> files;
  files.push_back(file_of({900'001, 900'002, 0, 900'003}));
  SessionPair pair({.held = held(std::move(files))});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(nbd);
  content::TestDisks disks;
  const MirroredDisk disk(*nbd, disks);
  EXPECT_EQ(pair.source->status().content.held_blocks, 0u);
}

TEST(SessionHeld, FilesThatShrinkAreMissesAndMended) {
  std::vector<std::uint64_t> contents;
  for (std::uint64_t content = 1; content <= MirroredDisk::kBlocks; ++content)
    contents.push_back(content);
  UniqueFd file = file_of(contents);
  const UniqueFd handle = file.duplicate();
  std::vector<UniqueFd> files;
  files.push_back(std::move(file));
  SessionPair pair({.held = held(std::move(files))});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(nbd);
  // Once references are made: the names are those of before.
  content::TestDisks disks;
  std::jthread cutter([&] {
    while (pair.source->status().content.held_blocks == 0) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(::ftruncate(handle.get(), 0), 0);
  });
  const MirroredDisk disk(*nbd, disks);
  EXPECT_GT(pair.source->status().content.held_blocks, 0u);
}

TEST(SessionHeld, KeptMemoryIsDecryptedBeforeItIsNamed) {
  content::PageKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  const auto kept = [&key](const content::PageKey& with) {
    KeptMemory memory{UniqueFd(::memfd_create("kept", MFD_CLOEXEC)), with};
    content::PageKeeper keeper(memory.file.duplicate(), key);
    for (std::uint64_t content = 1; content <= MirroredDisk::kBlocks; ++content) {
      const Bytes page = content::page_of(content);
      keeper.keep(3 * content, std::span(page).first<kBlockBytes>());
    }
    return memory;
  };
  const auto found = [](KeptMemory memory) {
    SessionPair pair({.held = std::make_shared<HeldFiles>(
                          std::vector<UniqueFd>(), std::vector<UniqueFd>(), std::move(memory))});
    pair.link(1);
    // Disks do not wait for its names.
    const Deadline limit = SessionPair::limit();
    while (pair.source->status().bytes_received < MirroredDisk::kBlocks * sizeof(content::Name) &&
           !limit.expired()) {
      std::this_thread::sleep_for(1ms);
    }
    auto nbd = pair.open(StreamKind::kDisks);
    EXPECT_TRUE(nbd);
    content::TestDisks disks;
    const MirroredDisk disk(*nbd, disks);
    return pair.source->status().content.held_blocks;
  };
  EXPECT_GT(found(kept(key)), 0u);
  content::PageKey other = key;
  other[0] ^= 1;
  EXPECT_EQ(found(kept(other)), 0u) << "without the key it is noise";
}

TEST(SessionHeld, ContentOfTheGroupIsCountedApart) {
  std::vector<std::uint64_t> own, group;
  for (std::uint64_t content = 1; content <= MirroredDisk::kBlocks; ++content) {
    (content % 2 == 0 ? own : group).push_back(content);
    // What the VM's own files have is not named again.
    if (content % 4 == 0) group.push_back(content);
  }
  std::vector<UniqueFd> own_files, group_files;
  own_files.push_back(file_of(own));
  group_files.push_back(file_of(group));
  SessionPair pair(
      {.held = std::make_shared<HeldFiles>(std::move(own_files), std::move(group_files))});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(nbd);
  content::TestDisks disks;
  const MirroredDisk disk(*nbd, disks);
  const auto counts = pair.source->status().content;
  EXPECT_LE(counts.held_blocks, MirroredDisk::kBlocks / 2);
  EXPECT_GT(counts.group_blocks, 0u);
  EXPECT_LE(counts.group_blocks, MirroredDisk::kBlocks / 2);
}

// The other VM runs, and writes into its disk after it was named.
TEST(SessionHeld, ADiskOfTheGroupMayBeRewrittenAtAnyTime) {
  std::vector<std::uint64_t> contents;
  for (std::uint64_t content = 1; content <= MirroredDisk::kBlocks; ++content)
    contents.push_back(content);
  UniqueFd file = file_of(contents);
  const UniqueFd handle = file.duplicate();
  std::vector<UniqueFd> files;
  files.push_back(std::move(file));
  SessionPair pair(
      {.held = std::make_shared<HeldFiles>(std::vector<UniqueFd>(), std::move(files))});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(nbd);
  content::TestDisks disks;
  std::atomic<bool> done = false;
  std::jthread guest([&] {
    while (pair.source->status().content.group_blocks == 0) std::this_thread::sleep_for(1ms);
    std::mt19937_64 random(1);
    for (std::uint64_t content = 900'000; !done; ++content) {
      const Bytes page = content::page_of(content);
      const auto at = static_cast<off_t>(random() % MirroredDisk::kBlocks * kBlockBytes);
      EXPECT_EQ(::pwrite(handle.get(), page.data(), page.size(), at),
                static_cast<ssize_t>(page.size()));
    }
  });
  const MirroredDisk disk(*nbd, disks);
  done = true;
  guest.join();
  EXPECT_GT(pair.source->status().content.group_blocks, 0u);
}

TEST(SessionHeld, LinksThatComeAndGoLoseNoName) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  // Names that a cut holds up are not waited for without end: what is sent before they came says
  // nothing of names that were lost, which no attempt would find.
  std::uint64_t held_blocks = 0;
  for (int attempt = 0; attempt < 8 && held_blocks < MirroredDisk::kBlocks; ++attempt) {
    SessionPair pair({.held = all_of_the_disk()});
    for (const std::uint32_t number : {1, 2, 3}) pair.link(number);
    std::atomic<bool> done = false;
    std::jthread cutter([&] {
      while (!done) {
        const auto number = static_cast<std::uint32_t>(1 + random() % 3);
        pair.cut(number);
        const int before = pair.source_told.links_up();
        pair.link(number);
        pair.source_told.wait_links_up(before + 1, Deadline::after(200ms));
      }
      pair.link(1);
    });
    auto nbd = pair.open(StreamKind::kDisks);
    ASSERT_TRUE(nbd);
    content::TestDisks disks;
    const MirroredDisk disk(*nbd, disks);
    done = true;
    cutter.join();
    held_blocks = pair.source->status().content.held_blocks;
  }
  EXPECT_EQ(held_blocks, MirroredDisk::kBlocks);
}

TEST(SessionHeld, AMoveThatIsSettledDoesNotWaitForNames) {
  // Much to read: one file as many.
  std::vector<std::uint64_t> contents;
  for (std::uint64_t content = 1; content <= 5'000; ++content) contents.push_back(content);
  const UniqueFd file = file_of(contents);
  std::vector<UniqueFd> own, group;
  for (int i = 0; i < content::kOwnDisksMax; ++i) own.push_back(file.duplicate());
  for (int i = 0; i < content::kGroupFilesMax; ++i) group.push_back(file.duplicate());
  SessionPair pair({.held = std::make_shared<HeldFiles>(std::move(own), std::move(group))});
  pair.link(1);
  ASSERT_TRUE(pair.destination_told.wait_links_up(1, SessionPair::limit()));
  pair.source_rpc.reset();
  pair.destination_rpc.reset();
  pair.destination->settled();
  EXPECT_EQ(pair.destination_told.wait_end(Deadline::after(9s)), SessionEnd::kSettled);
}

}  // namespace
}  // namespace drover::mover
