// SPDX-License-Identifier: Apache-2.0
// Files that the destination holds already: what it says about them, and what becomes of references
// to them when they changed, end early, or never held what was said.
#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "content/content_pair_fixture.h"
#include "content/held_names.h"
#include "content/nbd_stream_fixture.h"
#include "content/veiled_name.h"

namespace drover::content {
namespace {

class TestHeld : public HeldReader {
 public:
  bool has(std::uint8_t file) const override { return files.contains(file); }
  Status read(std::uint8_t file, std::span<const std::uint64_t> offsets,
              std::span<std::uint8_t> out) override {
    ++reads;
    const Bytes& bytes = files.at(file);
    for (const std::uint64_t offset : offsets) {
      if (offset + kBlockBytes > bytes.size()) return fail(ErrorCode::kSystem, "short");
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), kBlockBytes, out.begin());
      out = out.subspan(kBlockBytes);
    }
    return {};
  }

  std::map<std::uint8_t, Bytes> files;  // by number
  int reads = 0;
};

Bytes pages(std::initializer_list<std::uint64_t> contents) {
  Bytes all;
  for (const std::uint64_t content : contents) {
    const Bytes page = page_of(content);
    all.insert(all.end(), page.begin(), page.end());
  }
  return all;
}

// A destination that holds one file, and a source that was told of it.
struct HeldMove {
  explicit HeldMove(std::initializer_list<std::uint64_t> contents, std::uint8_t file = 0)
      : held(std::make_shared<TestHeld>()),
        source(std::make_shared<SourceContent>(kTestKey)),
        destination(
            std::make_shared<DestinationContent>(kTestKey, nullptr, DestinationLimits{}, held)) {
    held->files[file] = pages(contents);
    HeldRun run{.file = file, .first = 0, .names = {}};
    for (const std::uint64_t content : contents) {
      const Name name = name_of_page(content);
      run.names.push_back(file < kOwnFilesMax ? name : veiled(name));
    }
    Bytes bytes;
    append_held_run(bytes, run);
    HeldRunReader reader(
        [this](const DiskBlock& at, const Name& name) { source->add_held(at, name); });
    EXPECT_TRUE(reader.feed(bytes));
  }
  Carried disk() { return {source, destination, StreamKind::kDisk}; }
  // The client's words of a write, through the pair; the bytes that came out.
  Bytes write(Carried& stream, const Bytes& data) {
    client.write(1, 0, data);
    const Bytes said = client.take();
    stream.output.clear();
    stream.feed(said);
    stream.flush();
    EXPECT_EQ(stream.output, said);
    return said;
  }

  std::shared_ptr<TestHeld> held;
  std::shared_ptr<SourceContent> source;
  std::shared_ptr<DestinationContent> destination;
  NbdClient client{"drive-vda"};
};

TEST(HeldContent, OfAnEarlierMoveNeedNotTravel) {
  HeldMove move({1, 2, 3, 4});
  auto stream = move.disk();
  stream.encoder.take_answers(server_greeting());
  const Bytes said = move.write(stream, pages({4, 9, 2, 1}));
  EXPECT_EQ(stream.misses, 0u);
  EXPECT_EQ(move.source->tally().held_blocks, 3u);
  EXPECT_LT(stream.wire_bytes, said.size() / 2);
}

TEST(HeldContent, OfTheGroupIsCountedAsSuchInDisksAndMemory) {
  HeldMove move({1, 2, 3, 4}, kOwnFilesMax);
  auto stream = move.disk();
  stream.encoder.take_answers(server_greeting());
  move.write(stream, pages({4, 9, 2, 1}));
  EXPECT_EQ(stream.misses, 0u);
  EXPECT_EQ(move.source->tally().group_blocks, 3u);
  MemoryStream memory({{"pc.ram", 64}});
  memory.part();
  for (const std::uint64_t page : {3, 30}) memory.page("pc.ram", page, page);
  memory.end_section();
  Carried pages_stream(move.source, move.destination, StreamKind::kMemory);
  pages_stream.feed(memory.bytes);
  pages_stream.flush();
  EXPECT_EQ(pages_stream.output, memory.bytes);
  EXPECT_EQ(move.source->tally().group_blocks, 4u);
  EXPECT_EQ(move.source->tally().held_blocks, 0u);
}

TEST(HeldContent, IsReferredToFromMemoryAlsoOnceTheGuestHasStopped) {
  HeldMove move({1, 2});
  MemoryStream memory({{"pc.ram", 64}});
  memory.part();
  for (const std::uint64_t page : {1, 2, 3}) memory.page("pc.ram", page, page);
  memory.end_section();
  Carried stream(move.source, move.destination, StreamKind::kMemory);
  stream.feed(memory.bytes);
  stream.flush();
  EXPECT_EQ(stream.output, memory.bytes);
  EXPECT_EQ(move.source->tally().held_blocks, 2u);

  const std::size_t sent = memory.bytes.size();
  memory.last_part();
  for (const std::uint64_t page : {4, 5}) memory.page("pc.ram", page, page - 3);
  memory.end_section();
  stream.feed(std::span(memory.bytes).subspan(sent));
  stream.flush();
  EXPECT_EQ(stream.output, memory.bytes);
  EXPECT_EQ(move.source->tally().held_blocks, 4u) << "the pause is shorter by what does not travel";
}

TEST(HeldContent, ThatWasRewrittenIsAMissAndMended) {
  HeldMove move({1, 2, 3, 4});
  auto stream = move.disk();
  stream.encoder.take_answers(server_greeting());
  move.held->files[0][2 * kBlockBytes + 17] ^= 1;
  move.write(stream, pages({3}));
  EXPECT_EQ(stream.misses, 1u);
}

TEST(HeldContent, BeyondTheEndOfATruncatedFileIsAMiss) {
  HeldMove move({1, 2, 3, 4});
  auto stream = move.disk();
  stream.encoder.take_answers(server_greeting());
  move.held->files[0].resize(2 * kBlockBytes + 1);
  move.write(stream, pages({1, 2, 3, 4}));
  EXPECT_EQ(stream.misses, 1u);
}

// A destination that lies hurts itself: what it does not hold is asked for and sent.
TEST(HeldContent, ThatNobodyHoldsIsMendedBlockByBlock) {
  HeldMove move({1, 2, 3, 4});
  move.held->files[0] = pages({5, 6, 7, 8});
  auto stream = move.disk();
  stream.encoder.take_answers(server_greeting());
  move.write(stream, pages({1, 2, 3, 4}));
  EXPECT_GT(stream.misses, 0u);
  EXPECT_GT(move.held->reads, 0);
}

TEST(HeldContent, OfAFileThatWasNotOfferedIsAProtocolError) {
  HeldMove move({1});
  move.held->files[kOwnFilesMax] = pages({1});
  // One of the group's, which is there, does not vouch for what is below it.
  const auto decode = [](std::uint8_t disk, const std::shared_ptr<DestinationContent>& to) {
    Batch batch;
    for (const std::uint8_t number : {disk, std::uint8_t{kHeldFirst + kOwnFilesMax}}) {
      append_op(batch.ops,
                {.kind = OpKind::kDiskPage, .where = 0, .disk = number, .name = name_of_page(1)});
    }
    return Decoder(to).decode(batch, 2 * kBlockBytes);
  };
  const auto good = decode(kHeldFirst, move.destination);
  ASSERT_TRUE(good && *good);
  EXPECT_EQ(**good, pages({1, 1}));
  const int others[] = {kHeldFirst + 1,
                        kHeldFirst + kOwnFilesMax - 1,
                        kHeldFirst + kOwnFilesMax + 1,
                        kDiskNumbersMax - 1,
                        kDiskNumbersMax,
                        255};
  for (const int disk : others) {
    const auto bad = decode(static_cast<std::uint8_t>(disk), move.destination);
    ASSERT_FALSE(bad) << disk;
    EXPECT_EQ(bad.error().code, ErrorCode::kProtocol);
  }
  const auto holds_nothing = decode(kHeldFirst, std::make_shared<DestinationContent>(kTestKey));
  ASSERT_FALSE(holds_nothing);
  EXPECT_EQ(holds_nothing.error().code, ErrorCode::kProtocol);
}

using Blocks = std::vector<std::pair<DiskBlock, Name>>;

Name name_with(std::uint8_t fill) {
  Name name;
  name.fill(fill);
  return name;
}

Bytes two_runs() {
  Bytes bytes;
  append_held_run(bytes, {.file = 1, .first = 7, .names = {name_with(1), name_with(2)}});
  append_held_run(bytes, {.file = 0, .first = 1u << 20, .names = {name_with(3)}});
  return bytes;
}

TEST(HeldRuns, MeanTheSameWhereverTheyAreCut) {
  const Bytes bytes = two_runs();
  const Blocks want{
      {{65, 7}, name_with(1)}, {{65, 8}, name_with(2)}, {{64, 1u << 20}, name_with(3)}};
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Blocks got;
    HeldRunReader reader(
        [&](const DiskBlock& at, const Name& name) { got.emplace_back(at, name); });
    ASSERT_TRUE(reader.feed(std::span(bytes).first(cut)));
    ASSERT_TRUE(reader.feed(std::span(bytes).subspan(cut)));
    EXPECT_EQ(got, want) << cut;
  }
}

TEST(HeldRuns, RefuseWhatTheTableDoesNotAllow) {
  const auto refused = [](std::map<std::size_t, std::uint8_t> changed) {
    Bytes bytes = two_runs();
    for (const auto& [at, value] : changed) bytes[at] = value;
    const Status fed = HeldRunReader([](const DiskBlock&, const Name&) {}).feed(bytes);
    return !fed && fed.error().code == ErrorCode::kProtocol;
  };
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({{0, kHeldFilesMax}}));
  EXPECT_TRUE(refused({{1, 1}}));
  EXPECT_TRUE(refused({{3, 1}}));
  EXPECT_TRUE(refused({{7, 0}}));
  EXPECT_TRUE(refused({{6, 0xff}}));
  EXPECT_TRUE(refused({{8, 1}}));
}

TEST(HeldRuns, MoreThanTheBoundAreRefused) {
  Bytes bytes;
  HeldRun run{.file = 0, .first = 0, .names = std::vector<Name>(kHeldRunMax)};
  append_held_run(bytes, run);
  std::uint64_t blocks = 0;
  HeldRunReader reader([&](const DiskBlock&, const Name&) { ++blocks; });
  Status fed;
  while (fed && blocks <= kHeldBlocksMax) fed = reader.feed(bytes);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::kProtocol);
  EXPECT_LE(blocks, kHeldBlocksMax);
}

}  // namespace
}  // namespace drover::content
