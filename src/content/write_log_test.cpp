// SPDX-License-Identifier: Apache-2.0
// From an NBD stream to what the disk holds: WriteLog, WriteRecord and WrittenDisk together.
#include "content/write_log.h"

#include <filesystem>
#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "content/content_pair_fixture.h"
#include "content/nbd_stream_fixture.h"
#include "content/written_disk.h"

namespace drover::content {
namespace {

constexpr std::uint64_t kDiskBlocks = 3 * kChunkBlocks;

UniqueFd empty_file() {
  return UniqueFd(
      ::open(std::filesystem::temp_directory_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

Bytes blocks_of(std::initializer_list<std::uint64_t> contents) {
  Bytes all;
  for (const std::uint64_t content : contents) {
    const Bytes page = page_of(content);
    all.insert(all.end(), page.begin(), page.end());
  }
  return all;
}

Name plain_name(std::uint64_t content) {
  const Bytes page = page_of(content);
  return Namer(ContentKey{}).name(std::span(page).first<kBlockBytes>());
}

// A disk as it should be, block by block.
struct Expected {
  std::vector<Name> names = std::vector<Name>(kDiskBlocks, kZeroName);
  Name chunk(std::uint64_t number) const {
    return chunk_name(
        std::span<const Name, kChunkBlocks>(&names[number * kChunkBlocks], kChunkBlocks));
  }
};

class WrittenTo {
 public:
  explicit WrittenTo(const std::string& export_name = "drive-vda") : client_(export_name) {
    log->take_answers(server_greeting());
  }
  void say() {
    const Bytes said = client_.take();
    std::span<const std::uint8_t> left(said);
    while (!left.empty()) {
      const auto piece = left.first(std::min<std::size_t>(left.size(), 1 + random() % pieces));
      log->take_requests(piece);
      left = left.subspan(piece.size());
    }
  }
  void answer(std::uint64_t cookie, std::uint32_t error = 0) {
    log->take_answers(simple_reply(cookie, error));
  }
  void write(std::uint64_t cookie, std::uint64_t offset, const Bytes& data) {
    client_.write(cookie, offset, data);
    say();
  }
  void ask(NbdCommand command, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
    client_.ask(command, cookie, offset, length);
    say();
  }
  // The stream has ended.
  void expect(const Expected& expected, std::uint64_t bytes = kDiskBlocks * kBlockBytes) {
    log.reset();
    auto disk = WrittenDisk::read(file_.get(), "drive-vda", bytes, empty_file());
    ASSERT_TRUE(disk) << disk.error().text();
    ASSERT_EQ(disk->chunks(), 3u);
    for (std::uint64_t chunk = 0; chunk < 3; ++chunk)
      EXPECT_EQ(disk->name(chunk), expected.chunk(chunk)) << "chunk " << chunk;
  }
  int file() const { return file_.get(); }

 private:
  NbdClient client_;
  UniqueFd file_ = empty_file();

 public:
  std::mt19937 random{5};
  std::size_t pieces = 1u << 20;
  std::shared_ptr<WriteRecord> record = std::make_shared<WriteRecord>(UniqueFd(::dup(file_.get())));
  std::unique_ptr<WriteLog> log = std::make_unique<WriteLog>(record);
};

TEST(WriteLog, KnowsWhatTheLastAnsweredWriteLeft) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1, 2, 0, 4}));
  disk.answer(1);
  disk.write(2, kBlockBytes, blocks_of({7}));
  disk.answer(2);
  disk.ask(NbdCommand::kWriteZeroes, 3, 3 * kBlockBytes, kBlockBytes);
  disk.answer(3);
  disk.ask(NbdCommand::kTrim, 4, 0, kBlockBytes);
  disk.answer(4);
  disk.write(5, kChunkBytes * 2, blocks_of({9}));
  disk.answer(5);
  Expected expected;
  expected.names[1] = plain_name(7);
  expected.names[2 * kChunkBlocks] = plain_name(9);
  disk.expect(expected);
}

TEST(WriteLog, AWriteThatIsLeftOutShows) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1, 2}));
  disk.answer(1);
  Expected expected;
  expected.names[0] = plain_name(1);
  expected.names[1] = plain_name(2);
  expected.names[kChunkBlocks + 3] = plain_name(5);  // was never sent
  disk.log.reset();
  const auto written =
      WrittenDisk::read(disk.file(), "drive-vda", kDiskBlocks * kBlockBytes, empty_file());
  ASSERT_TRUE(written);
  EXPECT_EQ(written->name(0), expected.chunk(0));
  EXPECT_NE(written->name(1), expected.chunk(1));
  EXPECT_EQ(written->name(2), expected.chunk(2));
}

TEST(WriteLog, WhatWasNotAnsweredWellIsUnknown) {
  for (const bool failed : {false, true}) {
    WrittenTo disk;
    disk.write(1, 0, blocks_of({1}));
    disk.answer(1);
    disk.write(2, kChunkBytes, blocks_of({2}));
    if (failed) disk.answer(2, 5);
    Expected expected;
    expected.names[0] = plain_name(1);
    expected.names[kChunkBlocks] = kUnknownName;
    disk.expect(expected);
  }
}

TEST(WriteLog, OfTwoWritesUnderWayTogetherNobodyKnowsTheLast) {
  for (const bool second_first : {false, true}) {
    WrittenTo disk;
    disk.write(1, 0, blocks_of({1, 2}));
    disk.write(2, kBlockBytes, blocks_of({3, 4}));
    disk.answer(second_first ? 2 : 1);
    disk.answer(second_first ? 1 : 2);
    Expected expected;
    expected.names[0] = plain_name(1);
    expected.names[1] = kUnknownName;
    expected.names[2] = plain_name(4);
    disk.expect(expected);
    // A later write settles it.
    WrittenTo other;
    other.write(1, 0, blocks_of({1, 2}));
    other.write(2, kBlockBytes, blocks_of({3, 4}));
    other.answer(1);
    other.answer(2);
    other.write(1, kBlockBytes, blocks_of({6}));
    other.answer(1);
    expected.names[1] = plain_name(6);
    other.expect(expected);
  }
}

TEST(WriteLog, PartsOfBlocksAreUnknown) {
  WrittenTo disk;
  Bytes data(512, 1);
  const Bytes whole = blocks_of({8});
  data.insert(data.end(), whole.begin(), whole.end());
  data.resize(data.size() + 100, 2);
  disk.write(1, kBlockBytes - 512, data);
  disk.answer(1);
  Expected expected;
  expected.names[0] = expected.names[2] = kUnknownName;
  expected.names[1] = plain_name(8);
  disk.expect(expected);
}

TEST(WriteLog, AStreamThatIsNotUnderstoodLeavesNothingKnown) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1}));
  disk.answer(1);
  disk.log->take_requests(Bytes(64, 0x55));
  disk.write(2, 0, blocks_of({2}));
  disk.answer(2);
  Expected expected;
  std::ranges::fill(expected.names, kUnknownName);
  disk.expect(expected);
}

TEST(WriteLog, KnowsTheSameInPiecesOfAnySize) {
  WrittenTo disk;
  disk.pieces = 3000;
  Expected expected;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const std::uint64_t block = disk.random() % (kDiskBlocks - 3);
    disk.write(i, block * kBlockBytes, blocks_of({i + 1, 0, i + 2}));
    disk.answer(i);
    expected.names[block] = plain_name(i + 1);
    expected.names[block + 1] = kZeroName;
    expected.names[block + 2] = plain_name(i + 2);
  }
  disk.expect(expected);
}

TEST(WriteLog, TwoStreamsToOneDiskCannotBeOrdered) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1}));
  disk.answer(1);
  WriteLog second(disk.record);
  NbdClient client("drive-vda");
  client.write(1, 0, blocks_of({2}));
  second.take_requests(client.take());
  Expected expected;
  std::ranges::fill(expected.names, kUnknownName);
  disk.expect(expected);
}

TEST(WrittenDisk, RefusesARecordWhoseEndIsMissing) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1, 2, 3}));
  disk.answer(1);
  disk.log.reset();
  const off_t size = ::lseek(disk.file(), 0, SEEK_END);
  ASSERT_GT(size, 60);
  int refused = 0;
  for (off_t cut = 1; cut < size; ++cut) {
    ASSERT_EQ(::ftruncate(disk.file(), size - cut), 0);
    const auto read = WrittenDisk::read(disk.file(), "drive-vda", kChunkBytes, empty_file());
    if (!read) {
      ++refused;
      EXPECT_EQ(read.error().code, ErrorCode::kProtocol);
    }
  }
  EXPECT_GT(refused, size - 5) << "all cuts but those between two entries";
  Bytes garbage(400, 0x77);
  ASSERT_EQ(::pwrite(disk.file(), garbage.data(), garbage.size(), 0), 400);
  EXPECT_FALSE(WrittenDisk::read(disk.file(), "drive-vda", kChunkBytes, empty_file()));
}

TEST(WrittenDisk, NothingIsKnownBeforeItsRecordHasEnded) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1}));
  disk.answer(1);
  ASSERT_TRUE(disk.record->flush());
  const auto early = WrittenDisk::read(disk.file(), "drive-vda", kChunkBytes, empty_file());
  ASSERT_TRUE(early);
  EXPECT_FALSE(early->complete());
  EXPECT_EQ(early->name(0), kUnknownName);
  disk.log.reset();
  const auto late = WrittenDisk::read(disk.file(), "drive-vda", kChunkBytes, empty_file());
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->complete());
  EXPECT_NE(late->name(0), kUnknownName);
  const auto other = WrittenDisk::read(disk.file(), "drive-vdb", kChunkBytes, empty_file());
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->complete()) << "the mover never saw it";
}

TEST(WrittenDisk, ItsLastBlocksMayLieInAnUnfinishedChunk) {
  WrittenTo disk;
  disk.write(1, 0, blocks_of({1}));
  disk.answer(1);
  disk.write(2, 2 * kChunkBytes, blocks_of({2, 3, 4}));
  disk.answer(2);
  Expected expected;
  expected.names[0] = plain_name(1);
  expected.names[2 * kChunkBlocks] = plain_name(2);
  expected.names[2 * kChunkBlocks + 1] = plain_name(3);
  disk.expect(expected, 2 * kChunkBytes + 2 * kBlockBytes + 100);
}

}  // namespace
}  // namespace drover::content
