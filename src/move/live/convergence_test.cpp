// SPDX-License-Identifier: Apache-2.0
// A guest, QEMU and a road, simulated in steps of a sample: what is judged of them, and when.
#include "move/live/convergence.h"

#include <functional>

#include <gtest/gtest.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Advice = ConvergenceWatch::Advice;
using Verdict = ConvergenceWatch::Verdict;

constexpr auto kStep = 250ms;
constexpr double kMib = 1 << 20;

struct Guest {
  double memory_mib = 256;
  // MiB/s at a time since the memory's copy began.
  std::function<double(double)> writes = [](double) { return 0.0; };
  double working_set_mib = 128;  // no more than this is ever dirty
  double link_mib = 12;          // MiB/s of memory
  double seen = 1;               // QEMU's figure of the road, as a multiple of what it is
  double wire_per_raw = 0.5;
  bool spiky = false;  // QEMU's figure is `seen` for moments only, and right when it decides
};

class Simulation {
 public:
  Simulation(Guest guest, Convergence policy, bool spared = false)
      : watch(policy, spared), guest_(std::move(guest)) {
    job.active = job.copying_memory = true;
    job.memory_iteration = 1;
    job.memory_total = mib(static_cast<std::uint64_t>(guest_.memory_mib));
    left_ = guest_.memory_mib;
  }

  // Runs for so long, or until QEMU stops the guest; the advice as of then.
  Advice run(std::chrono::milliseconds span) {
    Advice last;
    for (auto t = 0ms; t < span && !stopped; t += kStep) {
      last = step();
      if (last.is_new) news.emplace_back(seconds(), last.verdict);
      if (last.give_up && !gave_up_at) gave_up_at = seconds();
    }
    return last;
  }
  double seconds() const { return std::chrono::duration<double>(now_ - start_).count(); }

  ConvergenceWatch watch;
  JobProgress job;
  bool stopped = false;
  double pause_s = 0;  // that the guest then has
  bool road_stands = false;
  bool qemu_decides = true;
  std::vector<std::pair<double, Verdict>> news;
  std::optional<double> gave_up_at;
  Advice last_advice;

 private:
  Advice step() {
    now_ += kStep;
    const double t = 0.25;
    const double sent = road_stands ? 0 : std::min(left_, guest_.link_mib * t);
    left_ -= sent;
    done_ += sent;
    pass_s_ += t;
    dirty_ = std::min(guest_.working_set_mib, dirty_ + guest_.writes(seconds()) * t);
    if (left_ <= 0.001) {
      job.dirty_pages_per_second = static_cast<std::uint64_t>(dirty_ / pass_s_ * kMib / 4096);
      ++job.memory_iteration;
      left_ = dirty_;
      dirty_ = pass_s_ = 0;
    }
    job.memory_left = {static_cast<std::uint64_t>(left_ * kMib)};
    job.memory_done = {static_cast<std::uint64_t>(done_ * kMib)};
    const bool spike = !guest_.spiky || ++steps_ % 8 == 0;
    const double seen = spike ? guest_.seen : 1;
    job.memory_rate = {static_cast<std::uint64_t>(guest_.link_mib * seen * kMib)};
    WireCount wire;
    wire.memory_taken = job.memory_done;
    wire.sent = {static_cast<std::uint64_t>(done_ * guest_.wire_per_raw * kMib)};
    last_advice = watch.take(job, wire, now_);
    const double limit = static_cast<double>(last_advice.downtime.count()) / 1000;
    if (qemu_decides && job.memory_iteration > 1 &&
        left_ + dirty_ < guest_.link_mib * (guest_.spiky ? 1 : seen) * limit) {
      stopped = true;
      pause_s = (left_ + dirty_) / guest_.link_mib;
    }
    return last_advice;
  }

  Guest guest_;
  ConvergenceWatch::Clock::time_point start_{}, now_{};
  int steps_ = 0;
  double left_ = 0, dirty_ = 0, done_ = 0, pass_s_ = 0;
};

Guest writing(double mib_per_s) {
  Guest guest;
  guest.writes = [mib_per_s](double) { return mib_per_s; };
  return guest;
}

TEST(ConvergenceWatch, LeavesAGuestAloneThatFitsTheLink) {
  Simulation move(writing(4), {});
  move.run(120s);
  EXPECT_TRUE(move.stopped);
  EXPECT_TRUE(move.news.empty());
  EXPECT_LE(move.pause_s, 0.3);
}

TEST(ConvergenceWatch, SaysOnceAndSoonThatAGuestOutrunsTheLink) {
  Guest guest = writing(40);
  guest.memory_mib = 96;
  Simulation move(guest, {ConvergencePolicy::kWait});
  const Advice last = move.run(300s);
  EXPECT_FALSE(move.stopped);
  ASSERT_EQ(move.news.size(), 1u);
  EXPECT_EQ(move.news[0].second, Verdict::kOutruns);
  EXPECT_LT(move.news[0].first, 15);
  EXPECT_EQ(last.downtime, ConvergenceWatch::kPauseUsual);
  EXPECT_NEAR(static_cast<double>(last.carried.value) / kMib, 12, 1);
  ASSERT_TRUE(last.to_send);
  EXPECT_NEAR(static_cast<double>(last.to_send->count()), 1000.0 * 128 / 12, 1500);
}

TEST(ConvergenceWatch, SeesThatWhatIsLeftStaysTheSame) {
  Guest guest = writing(11.9);
  guest.working_set_mib = 24;
  Simulation move(guest, {ConvergencePolicy::kWait});
  move.run(300s);
  EXPECT_FALSE(move.stopped);
  ASSERT_EQ(move.news.size(), 1u);
  EXPECT_EQ(move.news[0].second, Verdict::kOutruns);
}

TEST(ConvergenceWatch, PausesNoLongerThanIsNeeded) {
  Guest guest = writing(40);
  guest.working_set_mib = 24;  // 2 s of the link
  Simulation move(guest, {ConvergencePolicy::kPause, 5s});
  move.run(300s);
  ASSERT_TRUE(move.stopped);
  ASSERT_EQ(move.news.size(), 1u);
  EXPECT_EQ(move.news[0].second, Verdict::kPauses);
  EXPECT_GT(move.pause_s, 0.3);
  EXPECT_LE(move.pause_s, 2.6);
}

TEST(ConvergenceWatch, NeverPausesLongerThanAllowed) {
  Simulation move(writing(40), {ConvergencePolicy::kPause, 5s});
  move.run(300s);
  EXPECT_FALSE(move.stopped) << "11 s would be needed";
  ASSERT_EQ(move.news.size(), 1u);
  EXPECT_EQ(move.news[0].second, Verdict::kOutruns);
  EXPECT_EQ(move.last_advice.downtime, 5s);

  move.watch.set_policy({ConvergencePolicy::kPause, 20s},
                        ConvergenceWatch::Clock::time_point{} + 300s);
  move.run(60s);
  EXPECT_TRUE(move.stopped);
  ASSERT_EQ(move.news.size(), 2u);
  EXPECT_EQ(move.news[1].second, Verdict::kPauses);
  EXPECT_LT(move.news[1].first, 301);
  EXPECT_LE(move.pause_s, 20);
}

TEST(ConvergenceWatch, ABurstIsNoVerdict) {
  for (const double begin : {22.0, 26.0, 30.0, 33.0, 36.0, 39.0}) {
    Guest guest;
    guest.writes = [begin](double at) { return at > begin && at < begin + 1 ? 40.0 : 5.0; };
    Simulation move(guest, {});
    move.run(120s);
    EXPECT_TRUE(move.stopped);
    EXPECT_TRUE(move.news.empty()) << "a burst at " << begin << ", told at " << move.news[0].first;
    EXPECT_LE(move.pause_s, 0.3);
  }
}

TEST(ConvergenceWatch, SaysWhenTheGuestFitsAgain) {
  Guest guest;
  guest.writes = [](double at) { return at < 60 ? 40.0 : 1.0; };
  Simulation move(guest, {ConvergencePolicy::kWait});
  move.run(300s);
  EXPECT_TRUE(move.stopped);
  ASSERT_GE(move.news.size(), 1u);
  EXPECT_EQ(move.news[0].second, Verdict::kOutruns);
  ASSERT_LE(move.news.size(), 2u);
  EXPECT_TRUE(move.news.size() == 1 || move.news[1].second == Verdict::kConverges);
}

TEST(ConvergenceWatch, GivesUpOnceItsTimeIsOver) {
  Simulation move(writing(40), {ConvergencePolicy::kGiveUp, 30s});
  move.run(300s);
  ASSERT_TRUE(move.gave_up_at);
  EXPECT_NEAR(*move.gave_up_at, move.news.at(0).first + 30, 0.5);

  Simulation fits(writing(3), {ConvergencePolicy::kGiveUp, 1s});
  fits.run(300s);
  EXPECT_TRUE(fits.stopped && !fits.gave_up_at);
}

TEST(ConvergenceWatch, AChangedPolicyCountsFromThen) {
  Simulation move(writing(40), {ConvergencePolicy::kWait});
  move.run(100s);
  move.watch.set_policy({ConvergencePolicy::kGiveUp, 30s},
                        ConvergenceWatch::Clock::time_point{} + 100s);
  move.run(100s);
  ASSERT_TRUE(move.gave_up_at);
  EXPECT_NEAR(*move.gave_up_at, 130, 0.5);
  EXPECT_EQ(move.news.size(), 2u) << "what the new policy does is told";
}

TEST(ConvergenceWatch, ARoadThatStandsStillIsNoSlowRoad) {
  Guest guest = writing(9);
  Simulation fits(guest, {});
  fits.run(24s);
  ASSERT_FALSE(fits.stopped);
  fits.road_stands = true;
  fits.run(20s);
  EXPECT_TRUE(fits.news.empty());
  EXPECT_LE(fits.last_advice.downtime, ConvergenceWatch::kPauseUsual);

  guest = writing(40);
  guest.working_set_mib = 24;
  Simulation outruns(guest, {ConvergencePolicy::kPause, 60s});
  outruns.qemu_decides = false;
  while (outruns.news.empty() && outruns.seconds() < 60) outruns.run(250ms);
  const auto before = outruns.last_advice.downtime;
  EXPECT_GT(before, ConvergenceWatch::kPauseUsual);
  outruns.road_stands = true;
  outruns.run(30s);
  EXPECT_LE(outruns.last_advice.downtime, before * 3 / 2);
}

TEST(ConvergenceWatch, TakesBackWhatQemuOverestimates) {
  Guest guest = writing(2);
  guest.seen = 3;
  Simulation move(guest, {});
  const Advice last = move.run(120s);
  ASSERT_TRUE(move.stopped);
  EXPECT_LE(move.pause_s, 0.3 * 1.1);
  EXPECT_LT(last.downtime, 150ms);
  EXPECT_GE(last.downtime, 50ms);
}

TEST(ConvergenceWatch, NeverKeepsAGuestFromItsEndThatWouldFit) {
  Guest guest = writing(20);
  guest.working_set_mib = 2.4;  // 0.2 s of the link, without end
  guest.seen = 4;
  guest.spiky = true;
  Simulation move(guest, {});
  move.run(120s);
  EXPECT_TRUE(move.stopped);
  EXPECT_LE(move.pause_s, 0.3);
}

// Pages that the destination has go in no time, and QEMU would stop the guest before anybody has
// measured what the others cost.
TEST(ConvergenceWatch, WhereMuchIsSparedQemuBeginsWithAQuarterUntilItIsMeasured) {
  ConvergenceWatch watch({}, true);
  JobProgress job;
  job.active = true;
  const auto start = ConvergenceWatch::Clock::time_point{} + 1s;
  constexpr auto kQuarter = ConvergenceWatch::kPauseUsual / 4;
  EXPECT_EQ(watch.take(job, {}, start).downtime, kQuarter) << "of the disks' copy on";
  job.copying_memory = true;
  job.memory_iteration = 1;
  EXPECT_EQ(watch.take(job, {}, start + kStep).downtime, kQuarter);

  Simulation fits(writing(2), {}, true);
  fits.qemu_decides = false;
  fits.run(10s);
  EXPECT_EQ(fits.last_advice.downtime, ConvergenceWatch::kPauseUsual) << "it was right";
}

TEST(ConvergenceWatch, IsSilentWhileDisksAreCopied) {
  ConvergenceWatch watch({});
  JobProgress job;
  job.active = true;
  const Advice advice = watch.take(job, {}, ConvergenceWatch::Clock::time_point{} + 1s);
  EXPECT_EQ(advice.verdict, Verdict::kUnknown);
  EXPECT_FALSE(advice.is_new || advice.give_up);
  EXPECT_EQ(advice.downtime, ConvergenceWatch::kPauseUsual);
}

Advice outrun() {
  Advice advice;
  advice.verdict = Verdict::kOutruns;
  advice.dirtied = {140 << 20};
  advice.carried = {118 << 20};
  advice.to_send = 12'000ms;
  return advice;
}

TEST(ConvergenceWarning, HasTheFiguresAndACommandForEachChoice) {
  const Finding warning = convergence_warning(
      outrun(), {"web01", "k3f9x2qa", {ConvergencePolicy::kPause, 5s}, false, true});
  EXPECT_EQ(warning.what,
            "web01 writes at least 140 MiB/s to its memory, the link carries 118 MiB/s of it: this "
            "will not "
            "converge at this rate.");
  EXPECT_EQ(warning.why,
            "It would have to stand still for about 12.0 s; 5 s are allowed. The move goes on and "
            "waits.");
  const std::vector<std::string> fixes = {
      "Let it stand still for up to 15 s: drover converge k3f9x2qa pause:15",
      "Slow it down, which libvirt takes only at the start of a move: drover cancel k3f9x2qa, and "
      "move it again with --convergence slow-guest",
      "Let the link carry more: drover settings bandwidth=off",
      "Wait until it does less: drover converge k3f9x2qa wait",
      "End the move; the VM stays: drover cancel k3f9x2qa"};
  EXPECT_EQ(warning.fixes, fixes);
}

TEST(ConvergenceWarning, OffersOnlyWhatExists) {
  Advice advice = outrun();
  advice.to_send = 3'600'000ms;
  const Finding warning = convergence_warning(
      advice, {"web01", "k3f9x2qa", {ConvergencePolicy::kSlowGuest}, true, false});
  for (const auto& fix : warning.fixes) {
    EXPECT_EQ(fix.find("pause"), std::string::npos) << "longer than a pause may be: " << fix;
    EXPECT_EQ(fix.find("slow"), std::string::npos) << "in force already: " << fix;
  }
}

}  // namespace
}  // namespace drover::move
