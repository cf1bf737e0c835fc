// SPDX-License-Identifier: Apache-2.0
// The reader against a server made by hand.
#include "mover/nbd_reader.h"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/big_endian.h"
#include "mover/read_back.h"
#include "net/unix_socket.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kDiskBlocks = 64;

enum class Manner { kGood, kRefuses, kNoise, kFails, kCloses, kWrongCookie };
using Request = std::array<std::uint8_t, 28>;

// Each byte of block N is N + 1. Answers what it has at hand in reverse order.
class Server {
 public:
  explicit Server(Manner manner) : manner_(manner) {
    auto pair = *net::socket_pair(net::SocketKind::kStream);
    client = std::move(pair.first);
    socket_ = std::move(pair.second);
    thread_ = std::jthread([this] {
      serve();
      ::shutdown(socket_.get(), SHUT_RDWR);
    });
  }
  // Not moved out by a test: closed, so that the server ends.
  ~Server() { client.reset(); }

  UniqueFd client;
  std::atomic<int> reads = 0;

 private:
  bool take(std::span<std::uint8_t> bytes) {
    return ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_WAITALL) ==
           static_cast<ssize_t>(bytes.size());
  }
  void say(const std::vector<std::uint8_t>& bytes) {
    static_cast<void>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  void say_option_reply(std::uint32_t type, const std::vector<std::uint8_t>& data) {
    std::vector<std::uint8_t> reply(20);
    store_be(&reply[0], std::uint64_t{0x0003e889045565a9});
    store_be(&reply[8], std::uint32_t{7});
    store_be(&reply[12], type);
    store_be(&reply[16], static_cast<std::uint32_t>(data.size()));
    reply.insert(reply.end(), data.begin(), data.end());
    say(reply);
  }
  void serve() {
    std::vector<std::uint8_t> hello(18);
    store_be(&hello[0], std::uint64_t{0x4e42444d41474943});
    store_be(&hello[8], std::uint64_t{0x49484156454f5054});
    hello[17] = 3;
    if (manner_ == Manner::kNoise) hello[0] = 0;
    say(hello);
    std::array<std::uint8_t, 4 + 16 + 4 + 3 + 2> go{};
    if (!take(go)) return;
    EXPECT_EQ(std::string(go.begin() + 24, go.begin() + 27), "vda");
    if (manner_ == Manner::kRefuses) return say_option_reply(0x80000006, {});
    std::vector<std::uint8_t> info(12);
    store_be(&info[2], std::uint64_t{kBlock * kDiskBlocks});
    say_option_reply(3, info);
    say_option_reply(1, {});
    if (manner_ == Manner::kCloses) return;
    Request request{};
    std::vector<Request> pending;
    while (take(request)) {
      pending.push_back(request);
      std::uint8_t next = 0;
      if (::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) > 0) continue;
      for (; !pending.empty(); pending.pop_back()) answer(pending.back());
    }
  }
  void answer(const Request& request) {
    ++reads;
    std::vector<std::uint8_t> reply(16);
    store_be(&reply[0], std::uint32_t{0x67446698});
    store_be(&reply[4], std::uint32_t{manner_ == Manner::kFails ? 5u : 0u});
    std::copy(request.begin() + 8, request.begin() + 16, reply.begin() + 8);
    if (manner_ == Manner::kWrongCookie) reply[8] = 1;
    const auto offset = load_be<std::uint64_t>(&request[16]);
    const auto bytes = manner_ == Manner::kFails ? 0 : load_be<std::uint32_t>(&request[24]);
    for (std::uint32_t i = 0; i < bytes; ++i)
      reply.push_back(static_cast<std::uint8_t>((offset + i) / kBlock + 1));
    say(reply);
  }

  const Manner manner_;
  UniqueFd socket_;
  std::jthread thread_;
};

Deadline limit() { return Deadline::after(20s); }

TEST(NbdReader, ReadsBlocksInAnyOrderAndNeighboursAtOnce) {
  Server server(Manner::kGood);
  auto reader = NbdReader::open(std::move(server.client), "vda", limit());
  ASSERT_TRUE(reader) << reader.error().text();
  std::vector<std::uint64_t> offsets;
  for (const std::uint64_t block : {9, 3, 4, 5, 63, 0, 9}) offsets.push_back(block * kBlock);
  for (std::uint64_t block = 0; block < 40; block += 2) offsets.push_back(block * kBlock);
  std::vector<std::uint8_t> out(offsets.size() * kBlock);
  const Status done = (*reader)->read(offsets, kBlock, out, limit());
  ASSERT_TRUE(done) << done.error().text();
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_EQ(out[i * kBlock], offsets[i] / kBlock + 1);
    EXPECT_EQ(out[i * kBlock + kBlock - 1], offsets[i] / kBlock + 1);
  }
  EXPECT_EQ(server.reads, 25);
  const std::array<std::uint64_t, 1> beyond{kBlock * kDiskBlocks};
  EXPECT_FALSE((*reader)->read(beyond, kBlock, std::span(out).first(kBlock), limit()));
  reader->reset();
}

TEST(NbdReader, WhatIsNoServerOrNoExportIsRefused) {
  for (const Manner manner : {Manner::kNoise, Manner::kRefuses}) {
    Server server(manner);
    EXPECT_FALSE(NbdReader::open(std::move(server.client), "vda", limit()));
  }
  auto pair = *net::socket_pair(net::SocketKind::kStream);
  const auto silent = NbdReader::open(std::move(pair.first), "vda", Deadline::after(50ms));
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, ErrorCode::kTimeout);
}

TEST(ReadBack, AnExportThatFailedIsNotTriedAgain) {
  for (const Manner manner : {Manner::kFails, Manner::kCloses, Manner::kWrongCookie}) {
    Server server(manner);
    int opened = 0;
    ReadBack disks([&]() -> Result<UniqueFd> {
      ++opened;
      return std::move(server.client);
    });
    const std::array<std::uint64_t, 1> offsets{0};
    std::vector<std::uint8_t> out(kBlock);
    EXPECT_FALSE(disks.read("vda", offsets, out));
    EXPECT_FALSE(disks.read("vda", offsets, out));
    EXPECT_EQ(opened, 1);
  }
}

TEST(ReadBack, ReadsThroughOneConnection) {
  Server server(Manner::kGood);
  ReadBack disks([&]() -> Result<UniqueFd> { return std::move(server.client); });
  const std::array<std::uint64_t, 2> offsets{0, 5 * kBlock};
  std::vector<std::uint8_t> out(2 * kBlock);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(disks.read("vda", offsets, out));
    EXPECT_EQ(out[kBlock], 6);
  }
}

}  // namespace
}  // namespace drover::mover
