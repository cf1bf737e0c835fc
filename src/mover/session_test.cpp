// SPDX-License-Identifier: Apache-2.0
#include "mover/session.h"

#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "mover/limits.h"
#include "mover/session_fixture.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

// Bytes that depend on their place, so that a loss, a repeat or an exchange shows.
std::uint8_t byte_at(std::uint64_t seed, std::uint64_t offset) {
  std::uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15u ^ seed;
  x ^= x >> 29;
  return static_cast<std::uint8_t>(x >> ((offset % 8) * 8));
}

// Writes `bytes` in pieces of random size, then ends its direction.
void feed(int fd, std::uint64_t seed, std::uint64_t bytes) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> piece;
  std::uint64_t done = 0;
  while (done < bytes) {
    const std::uint64_t most = random() % 3 == 0 ? 300'000 : 3'000;
    piece.resize(std::min(1 + random() % most, bytes - done));
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(seed, done + i);
    std::size_t sent = 0;
    while (sent < piece.size()) {
      const ssize_t n = ::send(fd, piece.data() + sent, piece.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
    done += piece.size();
  }
  ::shutdown(fd, SHUT_WR);
}

// Reads to the end of file: the number of right bytes, or the place of the first wrong one as a
// failure.
std::uint64_t drain(int fd, std::uint64_t seed) {
  std::vector<std::uint8_t> piece(200'000);
  std::uint64_t done = 0;
  while (true) {
    const ssize_t n = ::recv(fd, piece.data(), piece.size(), 0);
    if (n <= 0) return done;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i, ++done) {
      if (piece[i] == byte_at(seed, done)) continue;
      ADD_FAILURE() << "wrong byte at " << done;
      return done;
    }
  }
}

// Both directions of one stream at once.
void exchange(int source_end, int destination_end, std::uint64_t seed, std::uint64_t forth,
              std::uint64_t back) {
  std::jthread a([=] { feed(source_end, seed, forth); });
  std::jthread b([=] { feed(destination_end, seed + 1, back); });
  std::uint64_t arrived_back = 0;
  std::jthread c([&] { arrived_back = drain(source_end, seed + 1); });
  EXPECT_EQ(drain(destination_end, seed), forth);
  c.join();
  EXPECT_EQ(arrived_back, back);
}

TEST(Session, CarriesRpcBothWays) {
  SessionPair pair;
  pair.link(1);
  exchange(pair.source_rpc.get(), pair.destination_rpc.get(), 1, 100'000, 5'000);
}

TEST(Session, CarriesManyStreamsOverOneLink) {
  SessionPair pair;
  pair.link(1);
  std::vector<SessionPair::Ends> streams;
  for (int i = 0; i < 6; ++i) {
    auto ends = pair.open(i % 2 == 0 ? StreamKind::kMemory : StreamKind::kDisks);
    ASSERT_TRUE(ends);
    streams.push_back(std::move(*ends));
  }
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    threads.emplace_back([&, i] {
      exchange(streams[i].source.get(), streams[i].destination.get(), 100 * i, 3'000'000 * i,
               100'000 * (6 - i));
    });
  }
}

TEST(Session, SpreadsBulkOverSeveralLinksAndKeepsOrder) {
  SessionPair pair;
  for (const std::uint32_t number : {1, 2, 3, 4}) pair.link(number);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  exchange(memory->source.get(), memory->destination.get(), 5, 40'000'000, 2'000'000);
}

TEST(Session, EveryWayOfPackingCarriesTheSameBytes) {
  for (std::size_t way = 0; way < kPackWays.size(); ++way) {
    SCOPED_TRACE(way);
    SessionPair pair({.fixed_way = way});
    for (const std::uint32_t number : {1, 2, 3}) pair.link(number);
    auto memory = pair.open(StreamKind::kMemory);
    auto disks = pair.open(StreamKind::kDisks);
    ASSERT_TRUE(memory && disks);
    std::jthread nbd(
        [&] { exchange(disks->source.get(), disks->destination.get(), 11, 3'000'000, 500'000); });
    exchange(memory->source.get(), memory->destination.get(), 5, 6'000'000, 100'000);
  }
}

TEST(Session, WithoutContentBytesAreCarriedAsTheyAre) {
  SessionPair pair({.content = false});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  exchange(memory->source.get(), memory->destination.get(), 5, 1'000'000, 1'000);
  const auto counts = pair.source->status().content;
  EXPECT_EQ(counts.packed_bytes, 0u);
  EXPECT_GE(counts.data_bytes, 1'000'000u);
}

// What a bandwidth costs, with bytes that do not shrink.
double seconds_for(SessionPair& pair, std::uint64_t bytes) {
  auto memory = pair.open(StreamKind::kMemory);
  const auto start = std::chrono::steady_clock::now();
  std::jthread writer([&] { feed(memory->source.get(), 9, bytes); });
  EXPECT_EQ(drain(memory->destination.get(), 9), bytes);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Session, BandwidthHoldsAndChangesWhileMoving) {
  SessionPair pair({.content = false, .bandwidth_bytes_per_second = 2'000'000});
  pair.link(1);
  EXPECT_NEAR(seconds_for(pair, 2'000'000), 1.0, 0.1);
  pair.source->set_bandwidth(5'000'000);
  EXPECT_NEAR(seconds_for(pair, 5'000'000), 1.0, 0.1);
  pair.source->set_bandwidth(0);
  EXPECT_LT(seconds_for(pair, 5'000'000), 0.9);
}

TEST(Session, WhatIsHeldWaitsUntilItsTimeIsOverOrItIsReleased) {
  using std::chrono::milliseconds;
  SessionPair pair({.content = false});
  pair.link(1);
  auto disks = pair.open(StreamKind::kDisks);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(disks && memory);
  const auto arrives_within = [](const UniqueFd& socket, int wait_ms) {
    pollfd entry{socket.get(), POLLIN, 0};
    if (::poll(&entry, 1, wait_ms) != 1) return false;
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) == 1;
  };
  pair.source->hold(StreamKind::kDisks, milliseconds(600));
  ASSERT_EQ(::send(disks->source.get(), "d", 1, 0), 1);
  ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
  EXPECT_TRUE(arrives_within(memory->destination, 5'000)) << "another kind is not held";
  EXPECT_FALSE(arrives_within(disks->destination, 200));
  EXPECT_TRUE(arrives_within(disks->destination, 5'000)) << "the time is over";

  pair.source->hold(StreamKind::kMemory, std::chrono::hours(1));
  ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
  EXPECT_FALSE(arrives_within(memory->destination, 200));
  pair.source->hold(StreamKind::kMemory, milliseconds(0));
  EXPECT_TRUE(arrives_within(memory->destination, 5'000)) << "it was released";

  pair.source->hold(StreamKind::kMemory, std::chrono::hours(1));
  ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
  pair.source->standstill();
  EXPECT_TRUE(arrives_within(memory->destination, 5'000)) << "a guest that stands still goes first";
  pair.source->hold(StreamKind::kMemory, std::chrono::hours(1));
  ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
  EXPECT_TRUE(arrives_within(memory->destination, 5'000)) << "and stays first";
}

TEST(Session, WhatMayPassForAWhileIsHeldWhenThatIsOver) {
  using std::chrono::milliseconds;
  SessionPair pair({.content = false});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  auto disks = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(memory && disks);
  const auto arrives_within = [](const UniqueFd& socket, int wait_ms) {
    pollfd entry{socket.get(), POLLIN, 0};
    if (::poll(&entry, 1, wait_ms) != 1) return false;
    char byte = 0;
    return ::recv(socket.get(), &byte, 1, 0) == 1;
  };
  pair.source->pass(StreamKind::kMemory, std::chrono::hours(1));
  ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
  EXPECT_TRUE(arrives_within(memory->destination, 5'000));

  pair.source->pass(StreamKind::kMemory, milliseconds(0));
  // One read may have been allowed before.
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(::send(memory->source.get(), "m", 1, 0), 1);
    std::this_thread::sleep_for(milliseconds(100));
  }
  (void)arrives_within(memory->destination, 100);
  EXPECT_FALSE(arrives_within(memory->destination, 300)) << "the time was over";
  ASSERT_EQ(::send(disks->source.get(), "d", 1, 0), 1);
  EXPECT_TRUE(arrives_within(disks->destination, 5'000)) << "another kind is not held";
  pair.source->standstill();
  EXPECT_TRUE(arrives_within(memory->destination, 5'000)) << "a guest that stands still goes first";
}

TEST(Session, SilenceHoldsNothingBack) {
  SessionPair pair({.fixed_way = 4});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  std::vector<std::uint8_t> piece(100'000);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{3000}, std::size_t{100'000}}) {
    ASSERT_EQ(::send(memory->source.get(), piece.data(), bytes, 0), static_cast<ssize_t>(bytes));
    EXPECT_EQ(::recv(memory->destination.get(), piece.data(), bytes, MSG_WAITALL),
              static_cast<ssize_t>(bytes));
  }
}

TEST(Session, HalfCloseReachesOneDirectionOnly) {
  SessionPair pair;
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  // As QEMU's return path: the destination ends first, and the source's bytes still arrive.
  ::shutdown(memory->destination.get(), SHUT_WR);
  EXPECT_EQ(drain(memory->source.get(), 0), 0u);
  std::jthread writer([&] { feed(memory->source.get(), 9, 2'000'000); });
  EXPECT_EQ(drain(memory->destination.get(), 9), 2'000'000u);
}

TEST(Session, ReaderThatIsGoneGivesTheWriterEpipeAndKeepsTheOtherDirection) {
  SessionPair pair;
  pair.link(1);
  auto disks = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(disks);
  ::shutdown(disks->destination.get(), SHUT_RD);
  // Ends by EPIPE long before so much is written.
  std::jthread writer([&] { feed(disks->source.get(), 3, 1'000'000'000); });
  writer.join();
  std::jthread answer([&] { feed(disks->destination.get(), 4, 700'000); });
  EXPECT_EQ(drain(disks->source.get(), 4), 700'000u);
}

TEST(Session, RefusedStreamClosesTheSourcesSocket) {
  SessionPair pair;
  pair.link(1);
  pair.refuse_streams();
  auto near = *net::socket_pair(net::SocketKind::kStream);
  ASSERT_TRUE(pair.source->open_stream(StreamKind::kDisks, std::move(near.first)));
  EXPECT_EQ(drain(near.second.get(), 0), 0u);
  exchange(pair.source_rpc.get(), pair.destination_rpc.get(), 2, 1000, 1000);
}

TEST(Session, NothingIsLostNorRepeatedWhenLinksAreCutAtAnyMoment) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  SessionPair pair({.fixed_way = 1});
  pair.link(1);
  pair.link(2);
  auto memory = pair.open(StreamKind::kMemory);
  auto disks = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(memory && disks);
  std::atomic<bool> done = false;
  std::atomic<int> cuts = 0;
  std::jthread cutter([&] {
    while (!done) {
      const auto number = static_cast<std::uint32_t>(1 + random() % 2);
      pair.cut(number);
      ++cuts;
      if (random() % 4 == 0) pair.cut(3 - number);
      const int before = pair.source_told.links_up();
      pair.link(number);
      // A cut may hit the handshake as well; so do not wait for every link.
      if (random() % 2 == 0) pair.source_told.wait_links_up(before + 1, Deadline::after(200ms));
      if (random() % 4 == 0) pair.link(3 - number);
    }
    pair.link(1);
  });
  {
    std::jthread rpc(
        [&] { exchange(pair.source_rpc.get(), pair.destination_rpc.get(), 1, 300'000, 300'000); });
    std::jthread nbd(
        [&] { exchange(disks->source.get(), disks->destination.get(), 11, 20'000'000, 500'000); });
    exchange(memory->source.get(), memory->destination.get(), 21, 40'000'000, 100'000);
  }
  done = true;
  cutter.join();
  EXPECT_GT(cuts, 3);
}

TEST(Session, GivesUpAfterItsPatienceAndClosesEverything) {
  SessionPair pair({.patience = 300ms});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  ASSERT_TRUE(memory);
  pair.cut(1);
  EXPECT_EQ(pair.source_told.wait_end(SessionPair::limit()), SessionEnd::kGaveUp);
  EXPECT_EQ(pair.destination_told.wait_end(SessionPair::limit()), SessionEnd::kGaveUp);
  EXPECT_EQ(drain(memory->source.get(), 0), 0u);
  EXPECT_EQ(drain(memory->destination.get(), 0), 0u);
  EXPECT_EQ(drain(pair.source_rpc.get(), 0), 0u);
}

TEST(Session, StandstillShortensPatienceAndFinishForwardedEndsIt) {
  SessionPair pair({.pause_budget = 100ms});
  pair.link(1);
  ASSERT_TRUE(pair.source_told.wait_links_up(1, SessionPair::limit()));
  ASSERT_TRUE(pair.destination_told.wait_links_up(1, SessionPair::limit()));
  pair.source->standstill();
  pair.destination->standstill();
  pair.destination->finish_forwarded();
  pair.cut(1);
  EXPECT_EQ(pair.source_told.wait_end(SessionPair::limit()), SessionEnd::kGaveUp);
  EXPECT_FALSE(pair.destination_told.wait_end(Deadline::after(300ms)));
}

TEST(Session, SettledEndsOnceAllIsDrained) {
  SessionPair pair;
  pair.link(1);
  exchange(pair.source_rpc.get(), pair.destination_rpc.get(), 2, 50'000, 50'000);
  pair.source->settled();
  EXPECT_EQ(pair.source_told.wait_end(SessionPair::limit()), SessionEnd::kSettled);
  pair.source.reset();
  pair.destination->settled();
  EXPECT_EQ(pair.destination_told.wait_end(SessionPair::limit()), SessionEnd::kSettled);
}

TEST(Session, WrongKeyIsRefusedAndCostsNothingElse) {
  SessionPair pair({.destination_key = 8});
  pair.link(1);
  const auto source_loss = pair.source_told.wait_loss(SessionPair::limit());
  const auto destination_loss = pair.destination_told.wait_loss(SessionPair::limit());
  ASSERT_TRUE(source_loss && destination_loss);
  EXPECT_EQ(destination_loss->code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(pair.source_told.links_up(), 0);
  EXPECT_EQ(pair.destination_told.links_up(), 0);
}

TEST(Session, WrongIdentityIsRefused) {
  SessionPair pair({.destination_identity = "drover-move other aa bb"});
  pair.link(1);
  const auto loss = pair.destination_told.wait_loss(SessionPair::limit());
  ASSERT_TRUE(loss);
  EXPECT_EQ(loss->code, ErrorCode::kUnauthenticated);
}

TEST(Session, LinkNumberIsPartOfTheProof) {
  SessionPair pair;
  auto sockets = *net::socket_pair(net::SocketKind::kStream);
  ASSERT_TRUE(pair.destination->add_link(1, std::move(sockets.second)));
  ASSERT_TRUE(pair.source->add_link(2, std::move(sockets.first)));
  const auto loss = pair.destination_told.wait_loss(SessionPair::limit());
  ASSERT_TRUE(loss);
  EXPECT_EQ(loss->code, ErrorCode::kUnauthenticated);
}

TEST(Session, NoiseOnALinkLeavesTheOthersAlone) {
  SessionPair pair;
  pair.link(1);
  auto sockets = *net::socket_pair(net::SocketKind::kStream);
  ASSERT_TRUE(pair.destination->add_link(2, std::move(sockets.second)));
  ASSERT_EQ(::send(sockets.first.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
  ASSERT_TRUE(pair.destination_told.wait_loss(SessionPair::limit()));
  exchange(pair.source_rpc.get(), pair.destination_rpc.get(), 2, 50'000, 50'000);
}

TEST(Session, ReceiverThatDoesNotReadStallsTheSenderWithinTheWindow) {
  const std::uint32_t window = 2u << 20;
  SessionPair pair({.window_bytes = window});
  pair.link(1);
  auto memory = pair.open(StreamKind::kMemory);
  auto disks = pair.open(StreamKind::kDisks);
  ASSERT_TRUE(memory && disks);
  std::jthread writer([&] { feed(memory->source.get(), 3, 30'000'000); });
  // While memory stalls, disks flow: the stalled stream has only its share.
  exchange(disks->source.get(), disks->destination.get(), 8, 20'000'000, 100'000);
  const auto status = pair.source->status();
  const auto& kind = status.streams[1];
  ASSERT_EQ(kind.kind, StreamKind::kMemory);
  EXPECT_LE(kind.sent_bytes - kind.acknowledged_bytes, window + kStreamReserveBytes);
  EXPECT_EQ(drain(memory->destination.get(), 3), 30'000'000u);
}

}  // namespace
}  // namespace drover::mover
