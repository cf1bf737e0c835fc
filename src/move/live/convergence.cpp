// SPDX-License-Identifier: Apache-2.0
#include "move/live/convergence.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/core.h>

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Clock = ConvergenceWatch::Clock;
using Span = ConvergenceWatch::Span;

// Rates are taken over so long: several of QEMU's bursts, and not much of the pass before.
constexpr auto kWindow = 4s;
constexpr auto kWindowLeast = 1s;
constexpr auto kStall = 1s;
constexpr auto kWireStep = 800ms;  // the mover is asked about once a second
// A guest that needs nearly all of the link is as good as one that needs more.
constexpr double kNearly = 0.9;
// A burst of the guest is no verdict.
constexpr auto kFirm = 3s;
// It may have been within the one pass that QEMU measured: then we wait for the next, but not for
// ever.
constexpr auto kFirmAlone = 6s;
// What is left when the guest stops is never quite what was left the last time.
constexpr double kRoom = 1.25;
// A pause that was long enough by our figures and has not come: QEMU's are others.
constexpr auto kRaiseAfter = 4s;
constexpr double kRaise = 1.5;
// QEMU's figure is one of the last 100 ms; more than this it is not wrong for long.
constexpr double kOverestimateMost = 4;
constexpr Span kDowntimeLeast{50};

double seconds(Clock::duration span) { return std::chrono::duration<double>(span).count(); }

template <typename Samples>
void forget_old(Samples& samples, Clock::time_point now) {
  while (samples.size() > 2 && now - samples[1].at >= kWindow) samples.pop_front();
}

Span rounded_up(double seconds) {
  return Span(static_cast<std::int64_t>(std::ceil(seconds * 10)) * 100);
}

std::string seconds_words(Span span) {
  return fmt::format("{:.1f} s", static_cast<double>(span.count()) / 1000);
}

}  // namespace

void ConvergenceWatch::set_policy(Convergence policy, Clock::time_point now) {
  if (policy == policy_) return;
  policy_ = policy;
  pause_ = kPauseUsual;
  if (!outrun_since_) return;
  verdict_ = outrun_verdict();
  told_ = false;
  outrun_since_ = now;
}

void ConvergenceWatch::remember(const JobProgress& job, const WireCount& wire,
                                Clock::time_point now) {
  // A road that stands still is no slow road: nothing is known of it.
  if (!memory_.empty() && job.memory_done != memory_.back().done) moved_at_ = now;
  if (memory_.empty()) moved_at_ = now;
  if (now - moved_at_ >= kStall) memory_.clear();
  memory_.push_back({now, job.memory_done, job.memory_rate});
  forget_old(memory_, now);
  if (wire_.empty() ||
      (wire.memory_taken > wire_.back().taken && now - wire_.back().at >= kWireStep)) {
    wire_.push_back({now, wire.sent, wire.memory_taken});
    forget_old(wire_, now);
  }
  if (job.memory_iteration == pass_) return;
  pass_ = job.memory_iteration;
  left_before_ = left_;
  left_ = job.memory_left;
}

double ConvergenceWatch::carried() const {
  if (memory_.empty()) return 0;
  const auto span = memory_.back().at - memory_.front().at;
  if (span < kWindowLeast) return 0;
  return static_cast<double>((memory_.back().done - memory_.front().done).bytes) / seconds(span);
}

// QEMU stops the guest when what is left takes less than the limit at the rate that it saw in the
// last 100 ms. That is the rate of pages of which many cost the road nothing; what the guest has
// just changed costs what pages cost on the wire now, on a link that has shown what it can do.
double ConvergenceWatch::overestimate() const {
  double fastest = 0;
  for (std::size_t i = 1; i < wire_.size(); ++i) {
    const double span = seconds(wire_[i].at - wire_[i - 1].at);
    fastest =
        std::max(fastest, static_cast<double>((wire_[i].sent - wire_[i - 1].sent).bytes) / span);
  }
  double seen = 0;
  for (const Memory& sample : memory_)
    seen = std::max(seen, static_cast<double>(sample.seen.value));
  const double unmeasured = spared_ ? kOverestimateMost : 1;
  if (wire_.size() < 3 || fastest < 1 || seen < 1) return unmeasured;
  const auto taken = static_cast<double>((wire_.back().taken - wire_.front().taken).bytes);
  const auto sent = static_cast<double>((wire_.back().sent - wire_.front().sent).bytes);
  if (taken < 1 || sent < 1) return unmeasured;
  return std::clamp(seen / (fastest * taken / sent), 1.0, kOverestimateMost);
}

ConvergenceWatch::Verdict ConvergenceWatch::look(const JobProgress& job, double carried) const {
  const auto dirtied = static_cast<double>(job.dirty_pages_per_second * job.page_size);
  // The guest is measured for the first time when the first pass ends.
  if (pass_ < 2 || carried < 1 || !left_) return Verdict::kUnknown;
  const bool flat =
      left_before_ && pass_ > 2 &&
      static_cast<double>(left_->bytes) > kNearly * static_cast<double>(left_before_->bytes);
  const bool fits = to_send_s_ * 1000 < static_cast<double>(kPauseUsual.count());
  if (fits || (dirtied < kNearly * carried && !flat)) return Verdict::kConverges;
  return outrun_verdict();
}

ConvergenceWatch::Verdict ConvergenceWatch::outrun_verdict() const {
  const bool pauses = policy_.policy == ConvergencePolicy::kPause &&
                      to_send_s_ <= static_cast<double>(policy_.limit.count());
  return pauses ? Verdict::kPauses : Verdict::kOutruns;
}

// A verdict changes once it was seen otherwise for a while.
void ConvergenceWatch::settle(Verdict seen, Clock::time_point now) {
  if (seen == verdict_ || seen == Verdict::kUnknown) {
    doubted_since_.reset();
    return;
  }
  if (!doubted_since_) {
    doubted_since_ = now;
    doubted_pass_ = pass_;
  }
  const bool was_outrun = verdict_ >= Verdict::kPauses, is_outrun = seen >= Verdict::kPauses;
  const auto firm = is_outrun && !was_outrun && pass_ == doubted_pass_ ? kFirmAlone : kFirm;
  const bool first_good = verdict_ == Verdict::kUnknown && !is_outrun;
  if (!first_good && now - *doubted_since_ < firm) return;
  // That all goes well is no news.
  told_ = !was_outrun && !is_outrun;
  if (!is_outrun)
    outrun_since_.reset();
  else if (!was_outrun)
    outrun_since_ = now;
  verdict_ = seen;
  doubted_since_.reset();
}

// No longer than is needed, and never longer than is allowed.
ConvergenceWatch::Span ConvergenceWatch::pause(double carried, Clock::time_point now) {
  if (policy_.policy != ConvergencePolicy::kPause || verdict_ < Verdict::kPauses)
    return pause_ = kPauseUsual;
  // Nothing is learned, and nothing is late, while the road stands still.
  if (carried < 1) {
    raised_at_ = now;
    return pause_;
  }
  const Span most = std::max<Span>(policy_.limit, kPauseUsual);
  const Span needed = std::min(most, rounded_up(to_send_s_ * kRoom));
  if (needed > pause_) {
    pause_ = needed;
    raised_at_ = now;
  } else if (now - raised_at_ >= kRaiseAfter) {
    pause_ = std::min(most, Span(std::lround(static_cast<double>(pause_.count()) * kRaise)));
    raised_at_ = now;
  }
  return pause_;
}

// QEMU's figure may have been high only for a moment; then a limit lowered by it is too low for
// ever.
double ConvergenceWatch::correction(Clock::time_point now) {
  const bool due = pass_ >= 2 && to_send_s_ * 1000 < static_cast<double>(kPauseUsual.count());
  if (!due) {
    due_since_.reset();
    relaxed_ = 1;
  } else if (!due_since_) {
    due_since_ = now;
  } else if (now - *due_since_ >= kRaiseAfter) {
    relaxed_ *= kRaise;
    due_since_ = now;
  }
  return std::max(1.0, overestimate() / relaxed_);
}

ConvergenceWatch::Advice ConvergenceWatch::take(const JobProgress& job, const WireCount& wire,
                                                Clock::time_point now) {
  Advice advice;
  if (!job.copying_memory) {
    advice.downtime = Span(std::lround(static_cast<double>(kPauseUsual.count()) / overestimate()));
    return advice;
  }
  remember(job, wire, now);
  const double rate = carried();
  if (left_ && rate >= 1) to_send_s_ = static_cast<double>(left_->bytes) / rate;
  settle(look(job, rate), now);
  advice.verdict = verdict_;
  advice.is_new = !std::exchange(told_, true);
  advice.dirtied = {job.dirty_pages_per_second * job.page_size};
  advice.carried = {static_cast<std::uint64_t>(rate)};
  if (to_send_s_ > 0) advice.to_send = rounded_up(to_send_s_);
  advice.downtime =
      std::max(kDowntimeLeast,
               Span(std::lround(static_cast<double>(pause(rate, now).count()) / correction(now))));
  advice.give_up = policy_.policy == ConvergencePolicy::kGiveUp && outrun_since_ &&
                   now - *outrun_since_ >= policy_.limit;
  return advice;
}

namespace {

std::string outruns_words(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene) {
  // At least: QEMU counts a page once a pass, however often it was written.
  return fmt::format("{} writes at least {} to its memory, the link carries {} of it",
                     scene.vm_name, to_text(advice.dirtied), to_text(advice.carried));
}

std::string policy_words(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene) {
  const std::string needed =
      advice.to_send ? fmt::format("about {}", seconds_words(*advice.to_send)) : "too long";
  switch (scene.policy.policy) {
    case ConvergencePolicy::kPause:
      if (advice.verdict == ConvergenceWatch::Verdict::kPauses) {
        return fmt::format("It will stand still for {} at the switch; {} s are allowed.", needed,
                           scene.policy.limit.count());
      }
      return fmt::format(
          "It would have to stand still for {}; {} s are allowed. The move goes on and waits.",
          needed, scene.policy.limit.count());
    case ConvergencePolicy::kSlowGuest:
      return "QEMU takes processor time from it until it fits.";
    case ConvergencePolicy::kGiveUp:
      return fmt::format("The move is given up after {} s of this.", scene.policy.limit.count());
    case ConvergencePolicy::kWait:
      break;
  }
  return "The move goes on and waits until the VM does less.";
}

// Each with the command that does it; what is in force already is no choice.
std::vector<std::string> choices(const ConvergenceWatch::Advice& advice,
                                 const ConvergenceScene& scene) {
  using enum ConvergencePolicy;
  std::vector<std::string> out;
  const auto converge = [&](std::string_view why, const Convergence& policy) {
    if (policy == scene.policy) return;
    out.push_back(
        fmt::format("{}: drover converge {} {}", why, scene.move_id, convergence_text(policy)));
  };
  const double needed = advice.to_send ? static_cast<double>(advice.to_send->count()) / 1000 : 0;
  const std::chrono::seconds longer(static_cast<std::int64_t>(std::ceil(needed * kRoom)));
  const bool pauses = advice.verdict == ConvergenceWatch::Verdict::kPauses;
  if (!pauses && longer.count() > 0 && longer <= kPauseMost)
    converge(fmt::format("Let it stand still for up to {} s", longer.count()), {kPause, longer});
  if (scene.policy.policy != kSlowGuest) {
    if (scene.may_slow_guest) {
      converge("Go on slowing it", {kSlowGuest});
    } else {
      out.push_back(fmt::format(
          "Slow it down, which libvirt takes only at the start of a move: drover cancel {}, and "
          "move it again with --convergence slow-guest",
          scene.move_id));
    }
  }
  if (scene.limited) out.emplace_back("Let the link carry more: drover settings bandwidth=off");
  if (scene.policy.policy != kWait) converge("Wait until it does less", {kWait});
  out.push_back(fmt::format("End the move; the VM stays: drover cancel {}", scene.move_id));
  return out;
}

}  // namespace

Finding convergence_warning(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene) {
  return {"WILL_NOT_CONVERGE",
          FindingLevel::kWarning,
          scene.vm_name,
          outruns_words(advice, scene) + ": this will not converge at this rate.",
          policy_words(advice, scene),
          choices(advice, scene)};
}

Error convergence_error(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene) {
  return {ErrorCode::kTimeout,
          Retry::kLater,
          fmt::format("{}. The move was given up after {} s of this, as its convergence policy {} "
                      "says.",
                      outruns_words(advice, scene), scene.policy.limit.count(),
                      convergence_text(scene.policy)),
          {}};
}

}  // namespace drover::move
