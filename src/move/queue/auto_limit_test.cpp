// SPDX-License-Identifier: Apache-2.0
#include "move/queue/auto_limit.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "move/queue/host_load.h"
#include "move/queue/slots.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// A host whose moves each carry as fast as they can, up to what the link has, and each keep so much
// of its processors busy.
class Host {
 public:
  double link = 1000, each = 300;  // bytes a second
  double processors_each = 5;      // percent
  unsigned waiting = 100;          // moves that would begin at once

  // The number of moves that it works on after so long.
  unsigned after(std::chrono::seconds span) {
    for (const auto end = now_ + span; now_ < end; now_ += 2s) {
      moves_ = std::min(waiting, limit_.allowed());
      const double busy = std::min(100.0, moves_ * processors_each);
      look_.busy_ticks += static_cast<std::uint64_t>(busy * 4);
      look_.idle_ticks += static_cast<std::uint64_t>((100 - busy) * 4);
      look_.carried_bytes += static_cast<std::uint64_t>(2 * std::min(link, moves_ * each));
      limit_.look(now_, moves_, look_);
    }
    return moves_;
  }
  unsigned allowed() const { return limit_.allowed(); }

 private:
  AutoLimit limit_;
  AutoLimit::Time now_{1h};
  AutoLimit::Look look_{};
  unsigned moves_ = 0;
};

TEST(AutoLimit, BeginsWithOneAndFillsTheLink) {
  Host host;
  EXPECT_EQ(host.after(4s), 1u);
  EXPECT_EQ(host.after(50s), 3u) << "the fourth gained a third of what it might, and went";
  const unsigned later = host.after(600s);
  EXPECT_TRUE(later == 3 || later == 4) << "it is tried once a minute, for some seconds";
}

TEST(AutoLimit, OneMoreThatIsOfNoUseGoes) {
  Host host;
  host.link = host.each;
  EXPECT_EQ(host.after(14s), 2u);
  EXPECT_EQ(host.after(10s), 1u);
  EXPECT_EQ(host.after(40s), 1u) << "for a minute none is tried";
}

TEST(AutoLimit, BusyProcessorsAllowNoFurther) {
  Host host;
  host.link = 100'000;
  host.processors_each = 30;
  EXPECT_EQ(host.after(300s), 3u) << "90 percent are busy";
}

TEST(AutoLimit, IsBounded) {
  Host host;
  host.link = 100'000;
  host.processors_each = 1;
  EXPECT_EQ(host.after(600s), AutoLimit::kMost);
}

TEST(AutoLimit, NothingIsLearntWhileFewerAreThere) {
  Host host;
  host.waiting = 1;
  EXPECT_EQ(host.after(60s), 1u);
  EXPECT_EQ(host.allowed(), 2u);
  host.waiting = 0;
  (void)host.after(2s);
  EXPECT_EQ(host.allowed(), 1u) << "the next ones begin anew";
}

// Of a busy host: the kernel's idle counter went back by some ticks in between.
TEST(AutoLimit, AnIdleCounterThatGoesBackIsNoIdleness) {
  AutoLimit limit;
  const AutoLimit::Time now{1h};
  limit.look(now, 1, {1000, 5000, 0});
  limit.look(now + 10s, 1, {2000, 4990, 1000});
  EXPECT_EQ(limit.allowed(), 1u);
}

TEST(AutoLimit, AMoveThatCarriesNothingYetAllowsNoOther) {
  Host host;
  host.each = 0;
  EXPECT_EQ(host.after(60s), 1u);
}

TEST(HostLoad, IsWhatTheKernelCounts) {
  const HostLoad load = parse_host_load(
      "cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n",
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
      "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
      "  eth0: 1000 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n"
      "vnet1:30 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0\n",
      "   8       0 sda 10 0 100 5 20 0 11 5 0 5 5\n   7 0 loop0 1 0 1 0 0 0 0 0 0 0 0\n");
  EXPECT_EQ(load.busy_ticks, 171u);
  EXPECT_EQ(load.idle_ticks, 4500u);
  EXPECT_EQ(load.network_bytes, 1234u);
  EXPECT_EQ(load.disk_bytes, 112u * 512);
  const HostLoad nothing = parse_host_load("cpu", "eth0: x", "8 0");
  EXPECT_EQ(nothing.busy_ticks + nothing.idle_ticks + nothing.network_bytes + nothing.disk_bytes,
            0u);
  const auto here = read_host_load();
  ASSERT_TRUE(here) << here.error().text();
  EXPECT_GT(here->busy_ticks + here->idle_ticks, 0u);
}

TEST(Slots, WithAutoAllowAsManyAsWereFoundToBeOfUse) {
  const MoveLimit automatic{2, true};
  Slots slots;
  EXPECT_TRUE(slots.take(Slots::Way::kOut, "a", automatic));
  EXPECT_FALSE(slots.take(Slots::Way::kOut, "b", automatic)) << "one at first";
  HostLoad load{1, 1, 1, 1};
  AutoLimit::Time now{1h};
  for (int look = 0; look < 6; ++look, now += 2s) {
    load = {load.busy_ticks, load.idle_ticks + 400, load.network_bytes + 1'000'000, 1};
    slots.measured(now, load);
  }
  EXPECT_FALSE(slots.lease(Slots::Way::kIn, "c", automatic)) << "b waits for longer";
  EXPECT_TRUE(slots.take(Slots::Way::kOut, "b", automatic));
  EXPECT_FALSE(slots.take(Slots::Way::kOut, "d", automatic));
  EXPECT_TRUE(slots.take(Slots::Way::kStorage, "e", automatic));
  EXPECT_FALSE(slots.take(Slots::Way::kStorage, "f", automatic)) << "they are counted apart";
  HostSettings settings;
  settings.live_moves = automatic;
  EXPECT_EQ(full_text("host1", 2, settings),
            "host1 works on 2 moves; its live-moves is auto: another begins once link and "
            "processors have room.");
}

}  // namespace
}  // namespace drover::move
