// SPDX-License-Identifier: Apache-2.0
// Judges whether a guest's memory will ever be at the destination, and says how long the guest may
// stand still for its rest: docs/convergence.md. Pure: fed with samples, asked for advice. One
// thread: the move's own.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "hypervisor/hypervisor.h"
#include "model/convergence.h"
#include "model/plan.h"
#include "move/carriers.h"

namespace drover::move {

class ConvergenceWatch {
 public:
  using Clock = std::chrono::steady_clock;
  using Span = std::chrono::milliseconds;

  // What QEMU and libvirt allow unless they are told otherwise; a guest that fits the link needs no
  // more.
  static constexpr Span kPauseUsual{300};

  enum class Verdict {
    kUnknown,    // QEMU has not measured the guest yet
    kConverges,  // or has done so lately
    kPauses,     // outruns the link; the pause that the policy allows is long enough
    kOutruns,    // outruns the link, and nothing that the policy allows ends the copy soon
  };

  struct Advice {
    Verdict verdict = Verdict::kUnknown;
    bool is_new = false;          // the verdict, or the policy: tell people
    bool give_up = false;         // the policy's time is over
    Span downtime{kPauseUsual};   // for libvirt's limit; see below
    BytesPerSecond dirtied;       // by the guest
    BytesPerSecond carried;       // of its memory, by the road
    std::optional<Span> to_send;  // what a pass changes takes so long: the pause that would do
  };

  // `spared`: much of the memory may cost nothing, for the destination has it. Then QEMU's figure
  // is taken to be as wrong as it can be until it was measured how wrong it is.
  explicit ConvergenceWatch(Convergence policy, bool spared = false)
      : policy_(policy), spared_(spared) {}

  // Judged anew at once, with what is known: whoever asks wants to see what it does.
  void set_policy(Convergence policy, Clock::time_point now);
  const Convergence& policy() const { return policy_; }

  // `wire` may be older than `job`. Nothing is judged while disks are copied, but for the limit
  // that QEMU begins with.
  Advice take(const JobProgress& job, const WireCount& wire, Clock::time_point now);

 private:
  // How much went until when; rates are taken over kWindow.
  struct Memory {
    Clock::time_point at;
    ByteCount done;
    BytesPerSecond seen;  // by QEMU
  };
  struct Wire {
    Clock::time_point at;
    ByteCount sent, taken;
  };

  void remember(const JobProgress& job, const WireCount& wire, Clock::time_point now);
  double carried() const;  // bytes a second; 0: not known
  double overestimate() const;
  Verdict look(const JobProgress& job, double carried) const;
  Verdict outrun_verdict() const;
  void settle(Verdict seen, Clock::time_point now);
  Span pause(double carried, Clock::time_point now);
  double correction(Clock::time_point now);

  Convergence policy_;
  const bool spared_;
  std::deque<Memory> memory_;
  Clock::time_point moved_at_;  // when memory_ last grew
  std::deque<Wire> wire_;
  std::uint64_t pass_ = 0;
  std::optional<ByteCount> left_, left_before_;  // at the beginning of this pass, of the last one
  double to_send_s_ = 0;                         // of this pass; 0: not known
  Verdict verdict_ = Verdict::kUnknown;
  bool told_ = true;
  std::optional<Clock::time_point> doubted_since_;  // what is seen differs from verdict_
  std::uint64_t doubted_pass_ = 0;
  std::optional<Clock::time_point> outrun_since_;
  Span pause_{kPauseUsual};  // that is aimed at
  Clock::time_point raised_at_;
  // What is left has been little enough for the usual pause, and the guest still runs.
  std::optional<Clock::time_point> due_since_;
  double relaxed_ = 1;
};

// What people are told of kPauses and kOutruns: docs/convergence.md, WILL_NOT_CONVERGE.
struct ConvergenceScene {
  std::string vm_name;
  std::string move_id;
  Convergence policy;
  bool may_slow_guest = false;  // libvirt was told so when it began
  bool limited = false;         // by the host's setting `bandwidth`
};
Finding convergence_warning(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene);
// Why a move is given up.
Error convergence_error(const ConvergenceWatch::Advice& advice, const ConvergenceScene& scene);

}  // namespace drover::move
