// SPDX-License-Identifier: Apache-2.0
#include "move/link_keeper.h"

#include <array>
#include <map>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "net/link_preamble.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Takes connections at the loopback addresses 127.0.0.1, .2, … of one port.
class Destination {
 public:
  Destination() : door_(std::move(*net::listen_tcp({"", 0}))) {
    port_ = net::local_address(door_.get())->port;
  }
  std::vector<LinkPath> paths(std::size_t count) const {
    std::vector<LinkPath> paths;
    for (std::size_t i = 1; i <= count; ++i) {
      const std::string address = "127.0.0." + std::to_string(i);
      paths.push_back({address, {address, port_}});
    }
    return paths;
  }
  // The number in the next connection's preamble and the address that it came to.
  std::pair<int, std::string> take() {
    UniqueFd link(::accept4(door_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::array<std::uint8_t, net::kPreambleBytes> bytes{};
    EXPECT_EQ(::recv(link.get(), bytes.data(), bytes.size(), MSG_WAITALL),
              static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(net::local_address(link.get())->host, net::remote_address(link.get())->host);
    return {net::decode_preamble(bytes)->link, net::local_address(link.get())->host};
  }

 private:
  UniqueFd door_;
  std::uint16_t port_ = 0;
};

std::vector<int> numbers(LinkKeeper& keeper) {
  std::vector<int> all;
  while (const auto dialled = keeper.next(Deadline::after(10s))) {
    EXPECT_TRUE(dialled->link) << dialled->link.error().text();
    all.push_back(dialled->number);
  }
  std::ranges::sort(all);
  return all;
}

TEST(LinkKeeper, EachNumberHasItsPath) {
  Destination destination;
  LinkKeeper keeper("k3f9x2qa", 3);
  std::vector<std::uint32_t> up;
  for (unsigned wanted = 1; wanted <= 3; ++wanted) {
    keeper.keep(destination.paths(3), up, wanted, 5s);
    for (const int number : numbers(keeper)) up.push_back(static_cast<std::uint32_t>(number));
    for (int i = 0; i < 3; ++i) {
      const auto [number, address] = destination.take();
      EXPECT_EQ(address, "127.0.0." + std::to_string((number - 1) % 3 + 1));
    }
  }
  EXPECT_EQ(up.size(), 9u);
  keeper.keep(destination.paths(3), up, 3, 5s);
  EXPECT_TRUE(numbers(keeper).empty()) << "all are up";
}

TEST(LinkKeeper, DialsOnlyTheLinkThatIsMissingOnItsOwnPath) {
  Destination destination;
  LinkKeeper keeper("k3f9x2qa", 2, 7);
  keeper.keep(destination.paths(2), {}, 1, 5s);
  EXPECT_EQ(numbers(keeper), (std::vector<int>{7, 8}));
  keeper.keep(destination.paths(2), {7, 8}, 1, 5s);
  EXPECT_TRUE(numbers(keeper).empty());
  keeper.keep(destination.paths(2), {7}, 2, 5s);
  EXPECT_EQ(numbers(keeper), (std::vector<int>{9, 10}))
      << "8 greets, so that path lacks one as well";
}

TEST(LinkKeeper, ALinkThatGreetsIsNotDialledTwice) {
  Destination destination;
  LinkKeeper keeper("k3f9x2qa", 1);
  keeper.keep(destination.paths(1), {}, 1, 5s);
  EXPECT_EQ(numbers(keeper), std::vector<int>{1});
  keeper.keep(destination.paths(1), {}, 1, 5s);
  EXPECT_TRUE(numbers(keeper).empty());
}

TEST(LinkKeeper, NumbersComeAgainOnlyAfterAllOfTheirPath) {
  Destination destination;
  for (const std::size_t paths : {1, 2, 5, 8}) {
    LinkKeeper keeper("k3f9x2qa", paths, net::kPreambleLinkMax);
    std::map<int, int> last;
    for (int round = 0; round < 20; ++round) {
      const std::vector<std::uint32_t> up;
      // More and more are wanted, so that those which greet do not hold it up.
      keeper.keep(destination.paths(paths), up, 2, 5s);
      for (const int number : numbers(keeper)) {
        ASSERT_TRUE(number >= 1 && number <= net::kPreambleLinkMax);
        if (last.contains(number)) {
          EXPECT_GE(round - last[number], static_cast<int>(net::kPreambleLinkMax / paths));
        }
        last[number] = round;
        destination.take();
      }
    }
  }
}

TEST(LinkKeeper, ADeadPathHoldsUpNeitherTheOtherNorTheCaller) {
  Destination destination;
  auto paths = destination.paths(2);
  paths[1].from = "192.0.2.1";  // not ours: fails at once
  LinkKeeper keeper("k3f9x2qa", 2);
  keeper.keep(paths, {}, 1, 5s);
  int good = 0, bad = 0;
  while (const auto dialled = keeper.next(Deadline::after(10s))) ++(dialled->link ? good : bad);
  EXPECT_EQ(good, 1);
  EXPECT_EQ(bad, 1);
  keeper.keep(paths, {1}, 1, 5s);
  EXPECT_FALSE(keeper.next(Deadline::after(0ms))) << "it rests after a failure";
}

}  // namespace
}  // namespace drover::move
