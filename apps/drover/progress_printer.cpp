// SPDX-License-Identifier: Apache-2.0
#include "progress_printer.h"

#include <algorithm>
#include <cstdio>

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "display_width.h"
#include "json/model_json.h"
#include "progress_text.h"
#include "time_words.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

// Below the two seconds that nobody shall wait for a word, with room for a slow machine.
constexpr auto kSilenceMax = 1500ms;
constexpr auto kRedrawEvery = 250ms;
// The daemon sends a sign of life each second; after this long its silence is worth saying.
constexpr auto kNoNews = 5s;

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

ProgressPrinter::ProgressPrinter(Style style)
    : style_(style),
      heard_at_(Clock::now()),
      printed_at_(Clock::now()),
      repeater_([this](std::stop_token stop) { repeat(stop); }) {}

ProgressPrinter::~ProgressPrinter() {
  repeater_.request_stop();
  changed_.notify_all();
  repeater_.join();
  if (line_open_) fmt::print("\n");
  std::fflush(stdout);
}

void ProgressPrinter::news(const Move& move) {
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  const bool turning_point = !last_ || last_->phase != move.phase || last_->state != move.state ||
                             last_->cancel_asked != move.cancel_asked || !trouble_.empty();
  tell_warning(last_, move);
  last_ = move;
  // A restarted daemon may count anew for a moment; what was said stays said.
  percent_ = std::max(percent_, move.progress.percent);
  last_->progress.percent = percent_;
  trouble_.clear();
  heard_at_ = now;
  const auto wait =
      style_ == Style::kRedrawnLine ? std::chrono::milliseconds(kRedrawEvery) : 1000ms;
  if (turning_point || now - printed_at_ >= wait) print(now);
}

// What keeps the move from its end, when it comes and when it is over; JSON has it in each object.
void ProgressPrinter::tell_warning(const std::optional<Move>& before, const Move& now) {
  const auto what = [](const Move& move) {
    return move.progress.warning ? move.progress.warning->what + move.progress.warning->why : "";
  };
  const std::string was = before ? what(*before) : "";
  if (style_ == Style::kJson || what(now) == was || now.state != MoveState::kRunning) return;
  if (line_open_) fmt::print("\r\x1b[K");
  line_open_ = false;
  if (now.progress.warning) {
    fmt::print("{}", warning_text(*now.progress.warning));
  } else if (before->progress.warning->code != "WILL_NOT_CONVERGE") {
    fmt::print("The copy of {} goes on.\n", printable(now.plan.vm.name));
  } else if (now.phase == Phase::kCopyMemory) {
    fmt::print("{} no longer outruns the link.\n", printable(now.plan.vm.name));
  }
}

void ProgressPrinter::trouble(const Error& error) {
  const std::scoped_lock lock(mutex_);
  trouble_ = printable(error.message);
  print(Clock::now());
}

void ProgressPrinter::pause(std::chrono::milliseconds span) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, span, [this] { return woken_; });
}

void ProgressPrinter::wake() {
  {
    const std::scoped_lock lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void ProgressPrinter::print(Clock::time_point now) {
  printed_at_ = now;
  if (!last_) return;
  if (style_ == Style::kJson) {
    fmt::print("{}\n", json::to_json(*last_));
    std::fflush(stdout);
    return;
  }
  std::string note;
  if (!trouble_.empty()) {
    note = fmt::format("trying to reach droverd again: {}", trouble_);
  } else if (now - heard_at_ >= kNoNews) {
    note =
        fmt::format("no news for {}",
                    span_words(std::chrono::duration_cast<std::chrono::seconds>(now - heard_at_)));
  }
  if (style_ == Style::kRedrawnLine) {
    const std::size_t columns = terminal_columns() - 1;
    const std::string line = progress_line(*last_, columns);
    fmt::print("\r{}\x1b[K", note.empty() ? line : cut(note + "; " + line, columns));
    line_open_ = true;
  } else {
    Move shown = *last_;
    shown.progress.elapsed +=
        std::chrono::duration_cast<std::chrono::milliseconds>(now - heard_at_);
    // Ours runs ahead of the daemon's while its news are late.
    elapsed_ = shown.progress.elapsed = std::max(elapsed_, shown.progress.elapsed);
    const std::string line = progress_log_line(shown);
    fmt::print("{}\n", note.empty() ? line : line + "; " + note);
  }
  std::fflush(stdout);
}

void ProgressPrinter::repeat(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait_for(lock, stop, kRedrawEvery, [] { return false; });
    const auto now = Clock::now();
    if (!stop.stop_requested() && now - printed_at_ >= kSilenceMax) print(now);
  }
}

}  // namespace drover::cli
