// SPDX-License-Identifier: Apache-2.0
// What holds the copy of a live move up for a while, by the source's mover: no room at the
// destination (docs/space.md; peer_move_space.cpp), and a window that is not open (docs/queue.md).
// The guest runs on meanwhile, and its disks are kept in sync where memory alone waits.
#include <algorithm>

#include "base/log.h"
#include "move/live/live_move.h"
#include "move/plan/shared_disks.h"
#include "move/queue/window_times.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::system_clock::time_point;

constexpr auto kWindowLook = 200ms;
constexpr auto kRestAgain = 20s;     // said to a destination, which may have been restarted
constexpr auto kPlaceAgain = 700ms;  // asked for; who asks keeps its turn (Slots::kTurn)
constexpr auto kPlaceLimit = 2s;     // for the destination's answer
constexpr std::string_view kWindowAwaited = "WINDOW_AWAITED";
constexpr std::string_view kPlaceAwaited = "PLACE_AWAITED";
constexpr int kDisksPercent = 50;  // as ProgressMeter counts
// Memory is sent more than once; of disks more is known when it is.
constexpr double kPassesGuess = 1.5;

}  // namespace

// Asked from the beginning of the copy to its end. A guest that stands still is held up by nothing;
// held up while its memory goes out, the copy could end just then.
std::optional<Error> LiveMove::keep_space() {
  if (!plain_road_ && !copies_disks(job_.move.plan)) return {};
  if (stood_still_ || job_.move.phase >= Phase::kSwitch) {
    end_space_watch();
    return {};
  }
  if (cancel_asked_ || given_up_) {
    release_disks();
    return {};
  }
  return keep_room(job_.move.phase < Phase::kCopyMemory ? RoomWait::kPossible : RoomWait::kTooLate);
}

// Before libvirt is called: the first byte of memory must not slip through.
Status LiveMove::hold_for_the_window() {
  if (!job_.move.plan.request.window || may_copy_memory(std::chrono::system_clock::now()))
    return {};
  RETURN_IF_ERROR(carriers_->hold_memory(true));
  memory_held_ = true;
  memory_hold_unsure_ = false;
  return {};
}

// The mover closes the window by itself too: whether this droverd lives then is not known.
Status LiveMove::tell_window(bool hold, Time now) {
  if (hold) return carriers_->hold_memory(true);
  const Time last = last_moment(window_at(*job_.move.plan.request.window, now));
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(last - now);
  return carriers_->pass_memory(std::max(left, 0ms));
}

// The guest may have been stopped a moment ago: then nothing is held any more, by the mover's own
// rule.
void LiveMove::keep_window() {
  const auto& window = job_.move.plan.request.window;
  if (!window || is_rehearsal() || stood_still_ || job_.move.phase >= Phase::kSwitch) return;
  if (!next_window_look_.expired()) return;
  next_window_look_ = Deadline::after(kWindowLook);
  const Time now = std::chrono::system_clock::now();
  const bool closed = !may_copy_memory(now);
  const bool hold = closed || (rests_ && !take_place_again());
  if (hold != memory_held_ || memory_hold_unsure_) {
    if (auto told = tell_window(hold, now); !told) {
      memory_hold_unsure_ = true;
      return;
    }
    memory_hold_unsure_ = false;
    if (hold != memory_held_) {
      log::info("Move {}: the memory of {} {}.", job_.move.id, job_.move.plan.vm.name,
                hold ? "waits for its window" : "goes out: its window is open");
    }
    memory_held_ = hold;
    // The wait is no sign of a guest that outruns the link.
    if (!hold) convergence_.emplace(job_.move.convergence, is_spared_by_plan(job_.move.plan));
  }
  memory_begun_ = memory_begun_ || !hold;
  if (told_hold_ == kSpaceAwaited) return;
  if (!hold) {
    if (told_hold_ == kWindowAwaited || told_hold_ == kPlaceAwaited) tell_hold({});
    return;
  }
  if (!closed) return;  // it waits for a place, and says so
  if (memory_held_ && in_sync_ && !memory_hold_unsure_) rest();
  const WindowTimes next = window_at(*window, now);
  const bool missed = next.is_open(now);  // what is left of this one is too short
  tell_hold(Finding{
      std::string(kWindowAwaited),
      FindingLevel::kNote,
      job_.move.plan.vm.name,
      missed
          ? fmt::format("What is left of the window {} is too short for {}'s memory: it waits "
                        "for the next.",
                        window_text(*window), job_.move.plan.vm.name)
          : fmt::format("The memory of {} waits for the window {}, which opens at {}.",
                        job_.move.plan.vm.name, window_text(*window), local_time_text(next.opens)),
      "Its disks are copied meanwhile and kept in sync. libvirt refuses what changes the VM until "
      "the move is over: snapshots, disks and devices.",
      {fmt::format("To give it up: drover cancel {}", job_.move.id)}});
}

// Others move meanwhile. What stays here and there is said in docs/queue.md.
void LiveMove::rest() {
  if (cancel_asked_ || given_up_ || (rests_ && !next_place_.expired())) return;
  next_place_ = Deadline::after(kRestAgain);
  const auto told = world_.peers.call(job_.move.destination, verb::kAdmit,
                                      to_json(AdmitRequest{job_.move.epoch, true, true}),
                                      Deadline::after(kPlaceLimit));
  // Without an answer its place there stays taken until the next time.
  if (!told) log::info("Move {}: {}", job_.move.id, told.error().text());
  world_.slots.give_back(Slots::Way::kOut, job_.move.id);
  if (!rests_) {
    log::info("Move {}: it rests until its window opens, and gives its places back.", job_.move.id);
  }
  rests_ = true;
}

// On both hosts, or on neither. False: not yet.
bool LiveMove::take_place_again() {
  if (told_hold_ == kWindowAwaited) next_place_ = Deadline::after(0ms);
  if (!next_place_.expired()) return false;
  next_place_ = Deadline::after(kPlaceAgain);
  const HostSettings settings = world_.book.settings();
  std::string full;
  if (!world_.slots.take(Slots::Way::kOut, job_.move.id, settings.live_moves)) {
    full = full_text(world_.host_name, world_.slots.used(), settings);
  } else {
    const auto text = world_.peers.call(job_.move.destination, verb::kAdmit,
                                        to_json(AdmitRequest{job_.move.epoch, false, false}),
                                        Deadline::after(kPlaceLimit));
    const auto reply =
        text ? admit_reply_from_json(*text) : Result<AdmitReply>(std::unexpected(text.error()));
    if (reply && reply->granted) {
      rests_ = false;
      log::info("Move {}: its window is open, and it has its places again.", job_.move.id);
      return true;
    }
    world_.slots.give_back(Slots::Way::kOut, job_.move.id);
    full = reply ? reply->text : reply.error().text();
  }
  tell_hold(Finding{
      std::string(kPlaceAwaited),
      FindingLevel::kNote,
      job_.move.plan.vm.name,
      fmt::format("The window of {} is open, and its memory waits for a place: {}",
                  job_.move.plan.vm.name, full),
      "The guest runs on. If the window closes before its turn comes, it waits for "
      "the next.",
      {fmt::format("Let more move at once: drover settings {} live-moves=NUMBER", job_.move.source),
       fmt::format("To give it up: drover cancel {}", job_.move.id)}});
  return false;
}

bool LiveMove::may_copy_memory(Time now) {
  const WindowTimes window = window_at(*job_.move.plan.request.window, now);
  const bool runs = memory_begun_ && !memory_held_;
  return fits_window(window, now, memory_takes(), runs);
}

// By the rate that its disks had, or that it may have; 0 s: nothing is known.
std::chrono::seconds LiveMove::memory_takes() const {
  std::uint64_t rate = best_rate_.value;
  const std::uint64_t limit = bandwidth_told_.value;
  if (limit != 0) rate = rate == 0 ? limit : std::min(rate, limit);
  if (rate == 0) return 0s;
  const double bytes = static_cast<double>(job_.move.plan.vm.memory.bytes) * kPassesGuess;
  return std::chrono::seconds(static_cast<std::int64_t>(bytes / static_cast<double>(rate)));
}

// All disks are copied; what libvirt counts of memory is what waits in the socket.
void LiveMove::memory_waits() {
  in_sync_ = true;
  const std::lock_guard lock(mutex_);
  Progress& progress = job_.move.progress;
  progress.disks.done = progress.disks.total;
  progress.disks.rate = {};
  progress.left_least = progress.left_most = std::nullopt;
  if (copies_disks(job_.move.plan)) progress.percent = std::max(progress.percent, kDisksPercent);
}

}  // namespace drover::move
