// SPDX-License-Identifier: Apache-2.0
#include "content/disk_encoder.h"

#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "content/content_pair_fixture.h"
#include "content/nbd_stream_fixture.h"

namespace drover::content {
namespace {

// A source with one disk, whose words the test says; the test is also the destination's server.
struct DiskMove {
  explicit DiskMove(SourceLimits limits = {})
      : disks(std::make_shared<TestDisks>()),
        pair(limits, {}, disks),
        stream(pair.stream(StreamKind::kDisk)),
        client("drive-vda") {
    answer(server_greeting());
  }
  void say() {
    const Bytes said = client.take();
    sent.insert(sent.end(), said.begin(), said.end());
    stream.feed(said);
    stream.flush();
  }
  void answer(const Bytes& said) { stream.encoder.take_answers(said); }
  void write(std::uint64_t cookie, std::uint64_t offset, const Bytes& data) {
    client.write(cookie, offset, data);
    say();
  }
  // The server has written it and says so.
  void finish(std::uint64_t cookie, std::uint64_t offset, const Bytes& data) {
    disks->write("drive-vda", offset, data);
    answer(simple_reply(cookie));
  }
  void written(std::uint64_t offset, const Bytes& data) {
    write(1, offset, data);
    finish(1, offset, data);
  }
  bool known(std::uint64_t content) {
    return pair.source->find_on_disk(name_of_page(content)).has_value();
  }

  std::shared_ptr<TestDisks> disks;
  ContentPair pair;
  Carried stream;
  NbdClient client;
  Bytes sent;
};

Bytes pages(std::initializer_list<std::uint64_t> contents) {
  Bytes all;
  for (const std::uint64_t content : contents) {
    const Bytes page = page_of(content);
    all.insert(all.end(), page.begin(), page.end());
  }
  return all;
}

TEST(DiskEncoder, PassesEveryByteAndKnowsAnsweredBlocks) {
  DiskMove move;
  move.write(1, 8192, pages({1, 2, 0, 3}));
  EXPECT_FALSE(move.known(1)) << "not answered";
  move.finish(1, 8192, pages({1, 2, 0, 3}));
  EXPECT_TRUE(move.known(1) && move.known(2) && move.known(3));
  EXPECT_FALSE(move.known(0)) << "zeros are not indexed";
  EXPECT_EQ(move.stream.output, move.sent);
  EXPECT_EQ(move.pair.source->find_on_disk(name_of_page(3)), (DiskBlock{0, 5}));
}

TEST(DiskEncoder, CountsOnlyWholeBlocks) {
  DiskMove move;
  move.written(4096 - 512, pages({1, 2}));
  EXPECT_FALSE(move.known(1) || move.known(2));
  Bytes shifted(512, 9);
  const Bytes rest = pages({3, 4});
  shifted.insert(shifted.end(), rest.begin(), rest.end());
  move.written(4096 * 5 - 512, shifted);
  EXPECT_TRUE(move.known(3) && move.known(4));
}

TEST(DiskEncoder, ForgetsABlockWhenALaterWriteIsSent) {
  for (const NbdCommand command :
       {NbdCommand::kWrite, NbdCommand::kTrim, NbdCommand::kWriteZeroes}) {
    DiskMove move;
    move.written(0, pages({1, 2, 3}));
    if (command == NbdCommand::kWrite) {
      move.client.write(5, 4096 + 100, Bytes(7, 1));
    } else {
      move.client.ask(command, 5, 4096, 4096);
    }
    move.say();
    EXPECT_TRUE(move.known(1) && move.known(3));
    EXPECT_FALSE(move.known(2)) << "sent, whether answered or not";
    move.answer(simple_reply(5));
    EXPECT_FALSE(move.known(2));
  }
}

TEST(DiskEncoder, WhatPassesUnnamedWritesOverWhatWasKnown) {
  DiskMove move;
  move.written(0, pages({1, 2}));
  EXPECT_TRUE(move.known(1) && move.known(2));
  move.pair.source->name_content(false);
  move.written(0, pages({3}));
  EXPECT_GT(move.stream.passed, 0u);
  move.pair.source->name_content(true);
  EXPECT_FALSE(move.known(1) || move.known(3));
  EXPECT_TRUE(move.known(2));
  EXPECT_EQ(move.stream.output, move.sent);
}

TEST(DiskEncoder, CountsNeitherOfTwoWritesThatWereUnderWayTogether) {
  DiskMove move;
  move.write(1, 0, pages({1, 2}));
  move.write(2, 4096, pages({3, 4}));
  move.finish(2, 4096, pages({3, 4}));
  move.finish(1, 0, pages({1, 2}));
  EXPECT_TRUE(move.known(1) && move.known(4));
  EXPECT_FALSE(move.known(2)) << "the second write may have come first";
  EXPECT_FALSE(move.known(3)) << "the first write may have come last";
  move.write(3, 4096, pages({5}));
  move.finish(3, 4096, pages({5}));
  EXPECT_TRUE(move.known(5)) << "all are answered now";
}

TEST(DiskEncoder, AFailedWriteIsNotHeld) {
  DiskMove move;
  move.write(1, 0, pages({1}));
  move.answer(simple_reply(1, 28));
  EXPECT_FALSE(move.known(1));
  move.write(1, 0, pages({2}));
  move.answer(reply_chunk(1, 0, 0x8001, Bytes(6)));
  move.answer(reply_chunk(1, 1, 0));
  EXPECT_FALSE(move.known(2)) << "an error before the last chunk";
  move.write(1, 0, pages({3}));
  move.answer(reply_chunk(1, 1, 0x8001, Bytes(6)));
  EXPECT_FALSE(move.known(3));
  move.write(1, 0, pages({4}));
  move.answer(reply_chunk(1, 1, 0));
  EXPECT_TRUE(move.known(4));
}

TEST(DiskEncoder, FindsItsWayThroughAnswersToReads) {
  DiskMove move;
  move.client.ask(NbdCommand::kRead, 9, 0, 100);
  move.client.ask(NbdCommand::kFlush, 10, 0, 0);
  move.write(1, 0, pages({1}));
  Bytes answers = simple_reply(9);
  // Data that looks like the answer to the write.
  const Bytes lie = simple_reply(1);
  while (answers.size() < 16 + 100) answers.insert(answers.end(), lie.begin(), lie.end());
  answers.resize(16 + 100);
  move.answer(answers);
  EXPECT_FALSE(move.known(1));
  move.answer(simple_reply(10));
  move.answer(simple_reply(1));
  EXPECT_TRUE(move.known(1));
}

TEST(DiskEncoder, UnderstandsWordsCutAnywhere) {
  NbdClient client("drive-vda");
  client.write(1, 0, pages({1, 2}));
  client.write(2, 8192, pages({3}));
  const Bytes said = client.take();
  Bytes answers = server_greeting();
  for (const std::uint64_t cookie : {2, 1}) {
    const Bytes reply = simple_reply(cookie);
    answers.insert(answers.end(), reply.begin(), reply.end());
  }
  for (std::size_t cut = 0; cut < said.size(); cut += cut < 400 ? 1 : 511) {
    ContentPair pair(kSmallSource, kSmallDestination);
    Carried stream = pair.stream(StreamKind::kDisk);
    for (const auto part : {std::span(said).first(cut), std::span(said).subspan(cut)}) {
      stream.feed(part);
      stream.flush();
    }
    EXPECT_EQ(stream.output, said);
    const std::size_t at = cut % answers.size();
    stream.encoder.take_answers(std::span(answers).first(at));
    stream.encoder.take_answers(std::span(answers).subspan(at));
    for (const std::uint64_t content : {1, 2, 3}) {
      EXPECT_TRUE(pair.source->find_on_disk(name_of_page(content))) << "cut at " << cut;
    }
  }
}

TEST(DiskEncoder, KnowsNothingOfAStreamItDoesNotUnderstand) {
  const auto spoil = [](auto say) {
    DiskMove move;
    move.written(0, pages({1}));
    say(move);
    move.say();
    EXPECT_FALSE(move.known(1));
    move.written(4096, pages({2}));
    EXPECT_FALSE(move.known(2));
    EXPECT_EQ(move.stream.output, move.sent) << "but passes it";
  };
  spoil([](DiskMove& move) { move.client.ask(static_cast<NbdCommand>(8), 4, 0, 0); });
  spoil(
      [](DiskMove& move) { move.client.option(7, Bytes(NbdRequestParser::kOptionBytesMax + 1)); });
  spoil([](DiskMove& move) { move.client.write(4, UINT64_MAX - 100, Bytes(50)); });
  spoil([](DiskMove& move) { move.client.ask_extended(NbdCommand::kTrim, 4, 0, UINT64_MAX); });
  spoil([](DiskMove& move) {
    for (int i = 0; i < 2; ++i) move.client.ask(NbdCommand::kFlush, 4, 0, 0);  // one cookie twice
  });
  spoil([](DiskMove& move) {
    for (unsigned i = 0; i <= kNbdRequestsMax; ++i)
      move.client.ask(NbdCommand::kFlush, 100 + i, 0, 0);
  });
  spoil([](DiskMove& move) {
    Carried second = move.pair.stream(StreamKind::kDisk);  // of the same export
    NbdClient client("drive-vda");
    client.ask(NbdCommand::kFlush, 1, 0, 0);
    second.feed(client.take());
    second.flush();
  });
}

TEST(DiskEncoder, ReadsExtendedHeaders) {
  DiskMove move;
  move.client.ask_extended(NbdCommand::kRead, 9, 0, 4096);
  move.client.write_extended(1, 0, pages({1, 2}));
  move.client.write_extended(2, 8192, pages({3}));
  move.say();
  EXPECT_FALSE(move.known(1));
  move.answer(extended_reply(9, 1, 1, Bytes(4104)));
  move.answer(extended_reply(1, 1, 0));
  move.answer(extended_reply(2, 1, 0x8001, Bytes(6)));
  EXPECT_TRUE(move.known(1) && move.known(2));
  EXPECT_FALSE(move.known(3)) << "failed";
  move.client.ask_extended(NbdCommand::kWriteZeroes, 3, 4096, std::uint64_t{1} << 40);
  move.say();
  EXPECT_TRUE(move.known(1));
  EXPECT_FALSE(move.known(2));
  EXPECT_EQ(move.stream.output, move.sent);
}

TEST(DiskEncoder, TakesAnswersOnAThreadOfTheirOwnWhileMemoryAsks) {
  constexpr std::uint64_t kWrites = 400;
  DiskMove move;
  std::atomic<std::uint64_t> written{0};
  {
    const std::jthread answering([&] {
      for (std::uint64_t cookie = 1; cookie <= kWrites; ++cookie) {
        while (written < cookie) std::this_thread::yield();
        move.answer(simple_reply(cookie));
      }
    });
    const std::jthread asking([&] {
      MemoryStream memory({{"ram", kWrites + 1}});
      memory.part();
      for (std::uint64_t i = 1; i <= kWrites; ++i) memory.page("ram", i, i % 2 == 0 ? i : i + 9000);
      Encoder encoder(move.pair.source, StreamKind::kMemory);
      for (auto rest = std::span(memory.bytes); !rest.empty();) {
        const std::size_t size = encoder.cut(rest.first(std::min<std::size_t>(rest.size(), 20000)));
        encoder.encode(rest.first(size));
        rest = rest.subspan(size);
      }
    });
    for (std::uint64_t cookie = 1; cookie <= kWrites; ++cookie) {
      move.write(cookie, cookie * kBlockBytes, pages({cookie}));
      written = cookie;
    }
  }
  for (std::uint64_t content = 1; content <= kWrites; ++content) EXPECT_TRUE(move.known(content));
}

// The whole way: memory that lies on the disk travels as a reference.
TEST(DiskReferences, MemoryRefersToBlocksThatTheDestinationHolds) {
  DiskMove move;
  move.written(0, pages({1, 2, 3, 4}));
  MemoryStream memory({{"ram", 16}});
  memory.part();
  for (const std::uint64_t content : {9, 1, 2, 8, 4}) memory.page("ram", content, content);
  memory.end_section();
  memory.last_part();
  memory.page("ram", 3, 3);
  memory.end_section();
  Carried stream = move.pair.stream(StreamKind::kMemory);
  stream.feed(memory.bytes);
  stream.flush();
  EXPECT_EQ(stream.output, memory.bytes);
  EXPECT_EQ(stream.misses, 0u);
  EXPECT_EQ(move.pair.source->tally().disk_pages, 3u) << "not once the guest stands still";
  EXPECT_EQ(move.disks->reads, 1);
}

TEST(DiskReferences, ABlockThatADiskHasAlreadyNeedNotTravelAgain) {
  DiskMove move;
  move.written(0, pages({1, 2, 3}));
  const std::uint64_t before = move.stream.wire_bytes;
  move.stream.compression = {};
  move.written(65536, pages({9, 2, 0, 3}));
  EXPECT_EQ(move.stream.output, move.sent);
  EXPECT_EQ(move.pair.source->tally().disk_blocks, 2u);
  EXPECT_LT(move.stream.wire_bytes - before, 2 * kBlockBytes + 200);
  EXPECT_TRUE(move.known(9) && move.known(2));
  move.write(2, 0, pages({7, 2}));
  EXPECT_EQ(move.pair.source->tally().disk_blocks, 2u) << "its place is being written";
  move.pair.source->guest_has_stopped();
  move.written(131072, pages({3}));
  EXPECT_EQ(move.pair.source->tally().disk_blocks, 2u) << "not during the pause";
  EXPECT_EQ(move.stream.output, move.sent);
  EXPECT_EQ(move.stream.misses, 0u);
}

TEST(DiskReferences, OfTwoDisksReachEachOther) {
  DiskMove move;
  move.written(0, pages({1, 2, 3}));
  Carried second = move.pair.stream(StreamKind::kDisk);
  NbdClient client("drive-vdb");
  client.write(1, 0, pages({3, 1}));
  const Bytes said = client.take();
  second.feed(said);
  second.flush();
  EXPECT_EQ(second.output, said);
  EXPECT_EQ(second.misses, 0u) << "the number is defined within the stream that uses it";
  EXPECT_EQ(move.pair.source->tally().disk_blocks, 2u);
}

TEST(DiskReferences, AreNotMadeIfNobodyWantsThem) {
  DiskMove move({.references = false});
  move.written(0, pages({1, 2}));
  move.written(65536, pages({1, 2}));
  EXPECT_EQ(move.stream.output, move.sent);
  EXPECT_EQ(move.pair.source->tally().disk_blocks, 0u);
  EXPECT_FALSE(move.known(1));
}

TEST(DiskReferences, AreNotMadeWhileTheLinkIsCheaper) {
  DiskMove move;
  move.written(0, pages({1}));
  move.pair.source->refer_to_disks(false);
  MemoryStream memory({{"ram", 16}});
  memory.part();
  memory.page("ram", 1, 1);
  Carried stream = move.pair.stream(StreamKind::kMemory);
  stream.feed(memory.bytes);
  stream.flush();
  EXPECT_EQ(move.pair.source->tally().disk_pages, 0u);
}

TEST(DiskReferences, AreNotMadeToWhatWasNotNamed) {
  DiskMove move;
  move.written(0, pages({1, 2}));
  move.pair.source->name_content(false);
  move.written(kBlockBytes, pages({3}));
  EXPECT_TRUE(move.known(1)) << "what was named stays known";
  EXPECT_FALSE(move.known(2)) << "it was replaced";
  EXPECT_FALSE(move.known(3));
  move.pair.source->name_content(true);
  move.written(65536, pages({4}));
  EXPECT_TRUE(move.known(4));
}

// A guest that keeps rewriting the blocks whose content its memory has, writes that are answered
// late or never, a disk that is ahead of what the source knows: never a wrong byte.
TEST(DiskReferences, NeverServeReplacedOrUnfinishedContent) {
  std::mt19937 random(11);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  DiskMove move({.cache_bytes = 2 * kBlockBytes});
  move.written(0, Bytes(64 * kBlockBytes, 1));
  MemoryStream memory({{"ram", 64}});
  memory.part();
  Carried stream = move.pair.stream(StreamKind::kMemory);
  struct Write {
    std::uint64_t cookie, offset;
    Bytes data;
  };
  std::vector<Write> under_way;
  std::uint64_t overtaking = 1u << 20;  // cookies
  stream.on_the_way = [&] {
    const Write write{++overtaking, below(60) * kBlockBytes, pages({below(150) + 1, below(9)})};
    move.write(write.cookie, write.offset, write.data);
    move.finish(write.cookie, write.offset, write.data);
  };
  for (std::uint64_t step = 2; step < 3000; ++step) {
    if (under_way.size() < 8) {
      Bytes data;
      for (unsigned i = 0; i <= below(3); ++i) {
        const Bytes page = page_of(below(150) + 1);
        data.insert(data.end(), page.begin(), page.end());
      }
      under_way.push_back({step, below(60) * kBlockBytes, data});
      move.write(step, under_way.back().offset, data);
    }
    // Finished in any order; now and then done long before it is answered.
    if (const std::size_t which = below(16); which < under_way.size()) {
      const Write& write = under_way[which];
      move.disks->write("drive-vda", write.offset, write.data);
      if (below(3) > 0) {
        move.answer(simple_reply(write.cookie));
        under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    memory.page("ram", below(64), below(150) + 1);
    if (below(5) == 0) {
      stream.feed(std::exchange(memory.bytes, {}));
      stream.flush();
    }
  }
  memory.end_section();
  stream.feed(std::exchange(memory.bytes, {}));
  stream.flush();
  EXPECT_GT(move.pair.source->tally().disk_pages, 100u);
  EXPECT_GT(move.pair.source->tally().disk_blocks, 100u);
  EXPECT_GT(stream.misses, 0u);
  const ReceivedMemory got(stream.output);
  EXPECT_GT(got.records, 100u);
  for (const auto& [where, content] : got.pages) {
    EXPECT_TRUE(content == memory.last_content(where)) << where.second;
  }
  EXPECT_EQ(move.stream.output, move.sent);
}

}  // namespace
}  // namespace drover::content
