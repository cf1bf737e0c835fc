// SPDX-License-Identifier: Apache-2.0
#include "mover/pack_choice.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "mover/limits.h"
#include "mover/processor_time.h"

namespace drover::mover {
namespace {

using std::chrono::duration;
using std::chrono::nanoseconds;

// A trial packs so much of a batch: long enough to measure, short enough not to be felt.
constexpr std::size_t kTrialBytes = 96 * 1024;
constexpr std::size_t kTrialBytesLeast = 8 * 1024;
constexpr unsigned kTrialsUntilSure = 5;
constexpr double kTrialWeight = 0.4;
// Of memory and disks of servers, by the ways of kPackWays (docs/benchmarks.md).
constexpr std::array<double, kPackWays.size()> kUsualRatios{1, 0.5, 0.42, 0.39, 0.38, 0.36};
// What a running frame makes of what the same level packs to alone, which is all that a trial shows
// (docs/decisions/0010-one-frame-a-stream.md).
constexpr std::array<double, kPackWays.size()> kGains{1, 1, 1, 0.95, 0.94, 0.92};
constexpr std::size_t kUsualOnSlowLinks = 2;  // zstd 1
// Less packed by a running way in an interval says little of what its worker gets.
constexpr std::uint64_t kRanBytesLeast = 1 << 20;
constexpr double kLaneLeast = 0.01;
constexpr double kLaneForgotten = 0.1;  // in an interval in which nothing was packed so
// Less than this sent in an interval says nothing about a link: it vanished in its buffers.
constexpr std::uint64_t kLinkBytesLeast = 1 << 20;
// And less than this says little of a link whose buffers did not fill: acknowledgements take time.
constexpr std::uint64_t kTellingBytesLeast = 16 << 20;
constexpr std::uint64_t kEncodedBytesLeast = 1 << 20;
// Packing takes processor time from QEMU too: it must be worth that much against no packing.
constexpr double kNoPackingBonus = 1.25;
constexpr double kStayBonus = 1.02;
constexpr double kAsGood = 0.97;
// From this share of waiting on, it is the link that sets the pace.
constexpr double kLinkIsSlowest = 0.6;
// Which it is not if for most of the time it has nothing to carry, whatever a few bytes waited for.
constexpr double kLinkIsBusy = 0.5;
// A slow link is one whatever makes it so: unless it has shown of late that it can do better, over
// a span in which buffers account for little.
constexpr double kSlowLink{kSlowLinkBytesPerSecond};
constexpr auto kShownSpan = std::chrono::milliseconds(400);
constexpr double kShownDecay = 0.7;  // an interval
// While something else does, nothing is learnt of the link: it is slowly taken to be faster, so
// that a link that has become so is found out. No faster: what is seldom used lets a burst through
// that says nothing of its pace.
constexpr double kLinkGrowth = 1.1;
constexpr double kShareGrowth = 0.1;  // at most, in an interval
// Processors: enough for zstd 1 on a link of 1 Gbit/s, however busy the host.
constexpr double kSpareLeast = 0.8;

double through(std::size_t way, const PackTrial& trial, const Road& road) {
  const double processors = is_running(way) ? road.lane : road.processors;
  const double packed = trial.bytes_per_second * processors;
  const double sent = road.link_bytes_per_second / std::max(trial.ratio, 0.001);
  return std::min(packed, sent);
}

// More than the encoder gives never comes through.
double supplied(double rate, const Road& road) {
  return road.supply_bytes_per_second > 0 ? std::min(rate, road.supply_bytes_per_second) : rate;
}

// What is known of a link after an interval: `rate` is what it took while it had bytes to take.
double learned(double known, double rate, bool slow, bool fast) {
  if (known <= 0) return slow ? rate : 0;
  const double grown = known * kLinkGrowth;
  if (fast) return slow ? rate : std::max(rate, grown);
  return slow ? std::min(rate, grown) : grown;
}

}  // namespace

std::size_t best_way(const PackTrials& trials, const Road& road, std::size_t now) {
  if (road.link_bytes_per_second <= 0) return now;
  std::array<double, kPackWays.size()> rates{};
  for (std::size_t i = 0; i < rates.size(); ++i) {
    rates[i] = through(i, trials[i], road);
    if (i == kNoPacking) rates[i] = road.link_bytes_per_second * kNoPackingBonus;
    rates[i] = supplied(rates[i], road);
    if (i == now) rates[i] *= kStayBonus;
  }
  const double best = *std::ranges::max_element(rates);
  const auto as_good = [&](double rate) { return rate >= best * kAsGood; };
  // What a slow link is spared, others may use.
  const bool slow = road.link_bytes_per_second < kSlowLink;
  if (slow && as_good(rates[kUsualOnSlowLinks])) return kUsualOnSlowLinks;
  return static_cast<std::size_t>(std::ranges::find_if(rates, as_good) - rates.begin());
}

PackChoice::PackChoice(unsigned workers, std::optional<std::size_t> fixed,
                       std::uint64_t told_bytes_per_second)
    : workers_(std::max(workers, 1u)), fixed_(fixed.has_value()), way_(fixed.value_or(kNoPacking)) {
  const auto told = static_cast<double>(told_bytes_per_second);
  if (told >= kSlowLink) {
    shown_bytes_per_second_ = told;  // forgotten within seconds unless the links do show it
  } else if (told > 0) {
    link_bytes_per_second_ = told;
    link_was_told_ = true;
    if (!fixed_) way_ = kUsualOnSlowLinks;  // until a trial has been made
  }
}

std::size_t PackChoice::way() const {
  const std::lock_guard lock(mutex_);
  return way_;
}

double PackChoice::throughput() const {
  const std::lock_guard lock(mutex_);
  return throughput_;
}

bool PackChoice::shown_fast() const { return shown_bytes_per_second_ >= kSlowLink; }

bool PackChoice::links_are_fast() const {
  const std::lock_guard lock(mutex_);
  const bool limited =
      limit_bytes_per_second_ > 0 && static_cast<double>(limit_bytes_per_second_) < kSlowLink;
  return shown_fast() && !links_are_slowest_ && !limited;
}

bool PackChoice::trial_due(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (fixed_ || now < next_trial_) return false;
  // One batch is not like all: it takes a few until they are known, and without packing nothing is
  // learnt in between. Nor does the first say anything about the link.
  const bool sure =
      link_bytes_per_second_ > 0 && trials_made_ >= kTrialsUntilSure && way_ != kNoPacking;
  next_trial_ = now + (sure ? kChoiceInterval : kChoiceInterval / 5);
  return true;
}

void PackChoice::try_all(const content::Batch& batch, Clock::time_point now) {
  if (batch.literals.size() < kTrialBytesLeast) {
    const std::lock_guard lock(mutex_);
    next_trial_ = now;  // the next batch will do
    return;
  }
  const std::size_t bytes = std::min(batch.literals.size(), kTrialBytes);
  content::Batch sample;
  sample.literals.assign(batch.literals.begin(),
                         batch.literals.begin() + static_cast<std::ptrdiff_t>(bytes));
  PackTrials trials{};
  auto before = thread_processor_time();
  for (std::size_t i = 0; i < kPackWays.size(); ++i) {
    const std::size_t packed = content::pack(sample, kPackWays[i]).size();
    const auto after = thread_processor_time();
    const double seconds = std::max(duration<double>(after - before).count(), 1e-7);
    trials[i] = {static_cast<double>(bytes) / seconds,
                 kGains[i] * static_cast<double>(packed) / static_cast<double>(bytes)};
    before = after;
  }

  const std::lock_guard lock(mutex_);
  ++trials_made_;
  const bool first = trials_[kNoPacking].bytes_per_second <= 0;
  for (std::size_t i = 0; i < trials_.size(); ++i) {
    // Pages differ: the last few trials count, and at first what is usual.
    const double last = first ? kUsualRatios[i] : trials_[i].ratio;
    trials_[i].ratio = last + kTrialWeight * (trials[i].ratio - last);
    const double weight = first ? 1.0 : kTrialWeight;
    trials_[i].bytes_per_second +=
        weight * (trials[i].bytes_per_second - trials_[i].bytes_per_second);
  }
  measure_links(now);
  measure_supply();
  measure_share();
  measure_lane();
  Road road{link_bytes_per_second_, spare_processors(now), supply_bytes_per_second_, lane_};
  if (limit_bytes_per_second_ > 0) {
    const auto limited = static_cast<double>(limit_bytes_per_second_);
    road.link_bytes_per_second =
        road.link_bytes_per_second > 0 ? std::min(road.link_bytes_per_second, limited) : limited;
  }
  way_ = best_way(trials_, road, way_);
  throughput_ = through(way_, trials_[way_], road);
}

void PackChoice::measure_links(Clock::time_point now) {
  if (sent_.bytes < kLinkBytesLeast || sent_.busy.count() == 0) return;
  const auto span = now - sent_since_;
  if (span < kShownSpan) return;
  const double shown = static_cast<double>(sent_.bytes) / duration<double>(span).count();
  shown_bytes_per_second_ = std::max(shown, shown_bytes_per_second_ * kShownDecay);
  const double of_one = static_cast<double>(sent_.bytes) / duration<double>(sent_.busy).count();
  const std::size_t links = std::max<std::size_t>(sent_.links, 1);
  const double rate = of_one * static_cast<double>(links);
  double& known = link_bytes_per_second_;
  const double busy = duration<double>(sent_.busy).count() / static_cast<double>(links);
  links_are_slowest_ = busy >= kLinkIsBusy * duration<double>(span).count() &&
                       duration<double>(sent_.waited) >= kLinkIsSlowest * sent_.handing;
  const bool slow = links_are_slowest_ ||
                    (rate < kSlowLink && sent_.bytes >= kTellingBytesLeast && !shown_fast());
  if (!link_was_told_) {
    known = learned(known, rate, slow, shown_fast());
  } else {
    known = slow ? rate : std::max(known * kLinkGrowth, shown);
    link_was_told_ = !slow;
  }
  sent_ = {};
  sent_since_ = now;
}

// Pure processor work that takes longer than it uses shares its processor. Falls at once, for then
// packing takes from others what they need; rises slowly, for without packing little is seen.
void PackChoice::measure_share() {
  if (packing_span_.count() == 0) return;
  const double got = std::min(duration<double>(packing_) / duration<double>(packing_span_), 1.0);
  share_ = std::min(got, share_ + kShareGrowth);
  packing_span_ = {};
}

// Of the speed that a trial shows, what the one worker of a running way had while it packed: others
// want the processors too, and it has more than the trial's bytes to look at.
void PackChoice::measure_lane() {
  bool measured = false;
  for (std::size_t i = 0; i < ran_.size(); ++i) {
    const Ran ran = std::exchange(ran_[i], {});
    if (ran.bytes < kRanBytesLeast || ran.span.count() == 0) continue;
    const double speed = static_cast<double>(ran.bytes) / duration<double>(ran.span).count();
    const double lane = std::clamp(speed / trials_[i].bytes_per_second, kLaneLeast, 1.0);
    lane_ += kTrialWeight * (lane - lane_);
    measured = true;
  }
  if (!measured) lane_ += kLaneForgotten * (Road{}.lane - lane_);
}

void PackChoice::measure_supply() {
  if (encoded_bytes_ < kEncodedBytesLeast || encoding_.count() == 0) return;
  supply_bytes_per_second_ =
      static_cast<double>(encoded_bytes_) / duration<double>(encoding_).count();
  encoded_bytes_ = 0;
  encoding_ = {};
}

// What this process gets of the machine, less what it needs for all but packing.
double PackChoice::spare_processors(Clock::time_point now) {
  const auto process_time = process_processor_time();
  const double seconds = duration<double>(now - measured_at_).count();
  const double used = duration<double>(process_time - process_time_ - packing_).count();
  const double all_else = measured_at_ == Clock::time_point{} ? 0 : used / std::max(seconds, 1e-3);
  measured_at_ = now;
  process_time_ = process_time;
  packing_ = {};
  const double most = static_cast<double>(workers_);
  return std::clamp(most * share_ - std::max(all_else, 0.0), kSpareLeast, most);
}

void PackChoice::sent(const Sent& sent) {
  const std::lock_guard lock(mutex_);
  if (sent_since_ == Clock::time_point{}) sent_since_ = Clock::now();
  sent_.bytes += sent.bytes;
  sent_.busy += sent.busy;
  sent_.handing += sent.handing;
  sent_.waited += sent.waited;
  sent_.links = sent.links;
}

void PackChoice::encoded(std::uint64_t bytes, nanoseconds processor_time) {
  const std::lock_guard lock(mutex_);
  encoded_bytes_ += bytes;
  encoding_ += processor_time;
}

void PackChoice::limit(std::uint64_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  limit_bytes_per_second_ = bytes_per_second;
}

void PackChoice::packed_for(nanoseconds processor_time, nanoseconds span) {
  const std::lock_guard lock(mutex_);
  packing_ += processor_time;
  packing_span_ += span;
}

void PackChoice::ran(std::size_t way, std::uint64_t bytes, nanoseconds span) {
  const std::lock_guard lock(mutex_);
  ran_.at(way).bytes += bytes;
  ran_.at(way).span += span;
}

}  // namespace drover::mover
