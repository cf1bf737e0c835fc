// SPDX-License-Identifier: Apache-2.0
// Guest memory through a pair of sessions: references, misses, lost links. What arrives is judged
// as QEMU's other side would read it.
#include <atomic>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "content/memory_stream_fixture.h"
#include "content/written_disk.h"
#include "mover/mirrored_disk_fixture.h"
#include "mover/session_fixture.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;
using content::Bytes;

constexpr std::uint64_t kPages = MirroredDisk::kBlocks;

// Passes over memory, in which pages repeat each other, themselves, and nothing.
content::MemoryStream guest_memory(std::uint64_t seed, int passes) {
  std::mt19937_64 random(seed);
  content::MemoryStream stream({{"pc.ram", kPages}, {"vga.vram", 64}});
  for (int pass = 0; pass < passes; ++pass) {
    stream.part();
    for (std::uint64_t page = 0; page < kPages; ++page) {
      if (pass > 0 && random() % 3 != 0) continue;
      // Few different pages near each other in time: references to them are worth a try.
      const bool video = random() % 50 == 0;
      stream.page(video ? "vga.vram" : "pc.ram", video ? page % 64 : page,
                  random() % 8 == 0 ? 0 : 1 + random() % 700);
    }
    stream.end_section();
  }
  stream.last_part();
  for (std::uint64_t page = 0; page < 40; ++page) stream.page("pc.ram", page, 5000 + page);
  stream.end_section();
  stream.device_state(50'000);
  return stream;
}

void feed(int fd, const Bytes& bytes) {
  std::mt19937_64 random(7);
  std::span<const std::uint8_t> left(bytes);
  while (!left.empty()) {
    const std::size_t most = std::min<std::size_t>(left.size(), 1 + random() % 200'000);
    const ssize_t n = ::send(fd, left.data(), most, MSG_NOSIGNAL);
    if (n <= 0) return;
    left = left.subspan(static_cast<std::size_t>(n));
  }
  ::shutdown(fd, SHUT_WR);
}

Bytes drain(int fd) {
  Bytes all;
  Bytes piece(200'000);
  while (true) {
    const ssize_t n = ::recv(fd, piece.data(), piece.size(), 0);
    if (n <= 0) return all;
    all.insert(all.end(), piece.begin(), piece.begin() + n);
  }
}

Bytes carry(const SessionPair::Ends& ends, const Bytes& bytes) {
  std::jthread writer([&] { feed(ends.source.get(), bytes); });
  return drain(ends.destination.get());
}

void expect_same_memory(const Bytes& sent, const Bytes& received) {
  const content::ReceivedMemory want(sent);
  const content::ReceivedMemory got(received);
  EXPECT_EQ(got.pages, want.pages);
  EXPECT_EQ(got.rest, want.rest);
}

TEST(SessionContent, SendsOnlyWhatTheOtherSideLacks) {
  SessionPair pair;
  pair.link(1);
  pair.link(2);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  const auto stream = guest_memory(3, 4);
  expect_same_memory(stream.bytes, carry(*memory, stream.bytes));

  const auto source = pair.source->status();
  EXPECT_GT(source.content.cached_pages, 500u);
  EXPECT_GT(source.content.zero_pages, 100u);
  EXPECT_EQ(source.content.misses, 0u);
  EXPECT_LT(source.bytes_sent, stream.bytes.size() / 2);
  // Offsets are raw on both sides, also of what was dropped.
  EXPECT_EQ(source.streams[1].sent_bytes, stream.bytes.size());
  EXPECT_EQ(pair.destination->status().streams[1].received_bytes, stream.bytes.size());
}

// By whatever is chosen, and by a running frame, whose parts may be neither lost nor done twice.
class SessionMisses : public testing::TestWithParam<std::optional<std::size_t>> {};
INSTANTIATE_TEST_SUITE_P(Way, SessionMisses,
                         testing::Values(std::nullopt, std::size_t{kPackWays.size() - 1}));

TEST_P(SessionMisses, AreMendedWhateverHappensToTheLinks) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  // A receiver that holds far less than the source takes it to hold.
  SessionPair pair(
      {.fixed_way = GetParam(), .destination_limits = {.cache_bytes = 40 * content::kBlockBytes}});
  for (const std::uint32_t number : {1, 2, 3}) pair.link(number);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
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
  const auto stream = guest_memory(seed, 8);
  const Bytes received = carry(*memory, stream.bytes);
  done = true;
  cutter.join();
  expect_same_memory(stream.bytes, received);
  EXPECT_GT(pair.source->status().content.misses, 5u);
  EXPECT_EQ(pair.destination->status().streams[1].received_bytes, stream.bytes.size());
}

TEST(SessionContent, ASmallWindowIsEnough) {
  SessionPair pair({.window_bytes = 1u << 20,
                    .destination_limits = {.cache_bytes = 100 * content::kBlockBytes}});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  const auto stream = guest_memory(11, 3);
  expect_same_memory(stream.bytes, carry(*memory, stream.bytes));
}

content::MemoryStream memory_as_on_disk() {
  content::MemoryStream stream({{"pc.ram", kPages}});
  stream.part();
  for (std::uint64_t page = 0; page < kPages; ++page) stream.page("pc.ram", page, kPages - page);
  stream.end_section();
  stream.last_part();
  stream.end_section();
  stream.device_state(5'000);
  return stream;
}

TEST(SessionContent, MemoryThatIsOnADiskIsReadBackWhileTheRoadIsSlow) {
  const auto disks = std::make_shared<content::TestDisks>();
  // So slow that the choice of how to pack is made while the disk is copied.
  SessionPair pair({.bandwidth_bytes_per_second = 300'000, .disks = disks});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(nbd && memory);
  const MirroredDisk disk(*nbd, *disks);
  // Some blocks are no longer what the source takes them to be: each is a miss, and mended.
  for (std::uint64_t block = 100; block < 110; ++block)
    disks->write("vda", block * content::kBlockBytes, content::page_of(9'999'999));
  const auto stream = memory_as_on_disk();
  expect_same_memory(stream.bytes, carry(*memory, stream.bytes));
  const auto counts = pair.source->status().content;
  EXPECT_GT(counts.disk_pages, kPages * 9 / 10);
  EXPECT_GE(counts.misses, 1u);
  EXPECT_LT(counts.misses, 10u);
  EXPECT_GT(disks->reads, 0);
}

TEST(SessionContent, MemoryWaitsForTheNamesOfWhatTheDestinationHolds) {
  // Where names come slowly, as on a machine that is busy with other tests, they are not waited
  // for.
  SessionStatus status;
  for (int attempt = 0; attempt < 8 && status.content.held_blocks < kPages * 9 / 10; ++attempt) {
    UniqueFd file(::memfd_create("held", MFD_CLOEXEC));
    for (std::uint64_t page = 0; page < kPages; ++page) {
      const auto bytes = content::page_of(kPages - page);
      ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()),
                static_cast<ssize_t>(bytes.size()));
    }
    std::vector<UniqueFd> files;
    files.push_back(std::move(file));
    SessionPair pair({.held = std::make_shared<HeldFiles>(std::move(files))});
    pair.link(1);
    auto memory = pair.open(StreamKind::kMemory);
    ASSERT_TRUE(memory);
    const auto stream = memory_as_on_disk();
    expect_same_memory(stream.bytes, carry(*memory, stream.bytes));
    status = pair.source->status();
  }
  EXPECT_GT(status.content.held_blocks, kPages * 9 / 10);
  EXPECT_EQ(status.content.misses, 0u);
}

TEST(SessionContent, WithoutAReaderNoDiskIsReferredTo) {
  content::TestDisks disks;
  SessionPair pair({.bandwidth_bytes_per_second = 1'000'000});
  pair.link(1);
  auto nbd = pair.open(StreamKind::kDisks);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(nbd && memory);
  const MirroredDisk disk(*nbd, disks);
  const auto stream = memory_as_on_disk();
  expect_same_memory(stream.bytes, carry(*memory, stream.bytes));
  EXPECT_EQ(pair.source->status().content.disk_pages, 0u);
}

UniqueFd empty_file() { return UniqueFd(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); }

TEST(SessionContent, WhatIsWrittenToADiskIsPutDown) {
  for (const bool content : {true, false}) {
    content::TestDisks disks;
    const UniqueFd file = empty_file();
    SessionPair pair(
        {.content = content,
         .writes = std::make_shared<content::WriteRecord>(UniqueFd(::dup(file.get())))});
    pair.link(1);
    pair.link(2);
    auto nbd = pair.open(StreamKind::kDisks);
    ASSERT_TRUE(nbd);
    const MirroredDisk disk(*nbd, disks);
    nbd->source.reset();
    nbd->destination.reset();
    const auto read = [&] {
      return content::WrittenDisk::read(file.get(), "vda", kPages * content::kBlockBytes,
                                        empty_file());
    };
    auto written = read();
    for (Deadline limit = SessionPair::limit(); written && !written->complete(); written = read()) {
      ASSERT_FALSE(limit.expired()) << "its stream has ended";
      std::this_thread::sleep_for(5ms);
    }
    ASSERT_TRUE(written);
    const content::Namer namer(content::ContentKey{});
    for (std::uint64_t chunk = 0; chunk < kPages / content::kChunkBlocks; ++chunk) {
      std::array<content::Name, content::kChunkBlocks> names;
      for (std::uint64_t i = 0; i < names.size(); ++i) {
        const Bytes page = content::page_of(chunk * content::kChunkBlocks + i + 1);
        names[i] = namer.name(std::span(page).first<content::kBlockBytes>());
      }
      EXPECT_EQ(written->name(chunk), content::chunk_name(names));
    }
  }
}

TEST(SessionContent, ADestinationThatIsGoneEndsAMissToo) {
  SessionPair pair({.destination_limits = {.cache_bytes = content::kBlockBytes}});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  const auto stream = guest_memory(13, 6);
  std::jthread reader([&] {
    Bytes piece(1'000'000);
    static_cast<void>(::recv(memory->destination.get(), piece.data(), piece.size(), MSG_WAITALL));
    memory->destination.reset();
  });
  feed(memory->source.get(), stream.bytes);  // ends by EPIPE, or all is thrown away
  reader.join();
  EXPECT_EQ(drain(memory->source.get()).size(), 0u);
}

}  // namespace
}  // namespace drover::mover
