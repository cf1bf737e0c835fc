// SPDX-License-Identifier: Apache-2.0
#include "follow.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "base/unique_fd.h"
#include "display_width.h"
#include "move_text.h"
#include "progress_printer.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

// How long droverd may be away (a restart, an upgrade) before we stop watching.
constexpr auto kDaemonAwayMax = 120s;

// Ctrl-C and SIGTERM wait while this lives, in every thread that is started meanwhile.
class HeldSignals {
 public:
  HeldSignals() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~HeldSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  const sigset_t& signals() const { return signals_; }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

// Takes the held signals as a call, on a thread of its own.
class Interruption {
 public:
  template <typename OnSignal>
  Interruption(const HeldSignals& held, OnSignal on_signal)
      : signals_(::signalfd(-1, &held.signals(), SFD_CLOEXEC | SFD_NONBLOCK)),
        over_(::eventfd(0, EFD_CLOEXEC)) {
    DROVER_CHECK(signals_.valid() && over_.valid());
    waiter_ = std::jthread([this, on_signal](std::stop_token stop) {
      const std::stop_callback wake(stop, [this] { ::eventfd_write(over_.get(), 1); });
      while (!stop.stop_requested()) {
        pollfd polled[] = {{signals_.get(), POLLIN, 0}, {over_.get(), POLLIN, 0}};
        ::poll(polled, 2, happened_ ? kAgainMs : -1);
        signalfd_siginfo signal{};
        if (::read(signals_.get(), &signal, sizeof signal) > 0) happened_ = true;
        // Again each time: the stream may just have been between two attempts.
        if (happened_ && !stop.stop_requested()) on_signal();
      }
    });
  }

  bool happened() const { return happened_; }

 private:
  static constexpr int kAgainMs = 100;
  UniqueFd signals_, over_;
  std::atomic<bool> happened_ = false;
  std::jthread waiter_;
};

ProgressPrinter::Style style_of(const Session& session) {
  if (session.json) return ProgressPrinter::Style::kJson;
  return session.draws() ? ProgressPrinter::Style::kRedrawnLine : ProgressPrinter::Style::kLines;
}

}  // namespace

Result<std::optional<Move>> follow(const Session& session, client::ApiClient& client,
                                   const Move& move) {
  const HeldSignals held;
  ProgressPrinter printer(style_of(session));
  const Interruption interruption(held, [&] {
    client.stop();
    printer.wake();
  });
  Move last = move;
  printer.news(last);
  auto heard_at = std::chrono::steady_clock::now();
  while (last.state == MoveState::kRunning) {
    const Status status = client.follow_move(move.id, [&](std::string_view, const Move& now) {
      last = now;
      heard_at = std::chrono::steady_clock::now();
      printer.news(now);
      return !interruption.happened();
    });
    if (last.state != MoveState::kRunning) break;
    if (interruption.happened()) return std::nullopt;
    if (status) {
      ASSIGN_OR_RETURN(last, client.move(move.id));
      break;
    }
    if (status.error().code != ErrorCode::kUnavailable) return std::unexpected(status.error());
    if (std::chrono::steady_clock::now() - heard_at > kDaemonAwayMax) {
      return std::unexpected(
          wrap(status.error(), fmt::format("The move goes on, but droverd was not heard of for two "
                                           "minutes. drover show {} tells how it went.",
                                           move.id)));
    }
    printer.trouble(status.error());
    printer.pause(1s);
    if (interruption.happened()) return std::nullopt;
  }
  return last;
}

void say_it_goes_on(const Move& move) {
  fmt::print("{} goes on moving. To watch it: drover watch {}. To end it: drover cancel {}.\n",
             printable(move.plan.vm.name), move.id, move.id);
}

}  // namespace drover::cli
