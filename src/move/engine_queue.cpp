// SPDX-License-Identifier: Apache-2.0
// The queue of moves that wait for their turn (docs/queue.md): each is a job of the journal that
// has not begun. One thread looks at it, and lets a move begin that has a place on both hosts.
#include <algorithm>
#include <array>

#include <fmt/chrono.h>

#include "base/big_endian.h"
#include "base/log.h"
#include "base/random.h"
#include "move/engine.h"
#include "move/queue/expected_starts.h"
#include "move/queue/window_times.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookInterval = 500ms;  // places come free without a word to us, too
constexpr auto kIdleInterval = 30s;    // nobody waits, and who comes says so
constexpr auto kAskLimit = 5s;         // the destination's answer needs nothing but itself
constexpr auto kLookWait = 2s;         // of who has just asked for a move

unsigned any_number() {
  std::array<std::uint8_t, 2> random{};
  fill_random(random);
  return load_be<std::uint16_t>(random.data());
}

}  // namespace

// A place may be free after each end of a move, and of an attempt.
MoveListener Engine::listener() {
  return [this](MoveChange change, const Move& move) {
    changed_(change, move);
    const bool again = move.queue && move.queue->position == 0 && !move.attempts.empty();
    if (change == MoveChange::kState || again) look_at_queue();
    if (change == MoveChange::kState) health_.begin(move);
  };
}

void Engine::enqueue(SourceJob job) {
  job.move.phase = job.move.progress.phase = Phase::kPlan;
  job.move.phases.clear();
  if (!job.move.queue) {
    job.move.queue =
        QueuePlace{job.move.plan.request.priority, false, 0, "", job.move.started_at, {}, {}};
  }
  const std::string id = job.move.id;
  const std::lock_guard lock(mutex_);
  running_[id] = std::make_shared<Running>(
      Running{make_move_work(world_, std::move(job), listener()), std::jthread()});
}

std::vector<Waiting> Engine::waiting() const {
  std::vector<Waiting> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : running_) {
    if (entry->thread.joinable()) continue;
    const Move move = entry->move->snapshot();
    if (move.state == MoveState::kRunning && move.queue)
      found.push_back({id, move.destination, *move.queue, move.plan.request.begin_at,
                       move.plan.kind, move.epoch});
  }
  put_in_order(found);
  return found;
}

std::vector<Move> Engine::queue() const {
  std::vector<Move> moves;
  for (const Waiting& one : waiting()) {
    auto known = move(one.id);
    if (!known || !known->queue) continue;
    known->queue->position = static_cast<unsigned>(moves.size() + 1);
    moves.push_back(std::move(*known));
  }
  if (moves.empty()) return moves;
  // Those before, that have no forecast, are only looked for where somebody waits.
  expect_starts(moves, under_way(), times_taken(this->moves()), world_.book.settings(),
                std::chrono::system_clock::now());
  return moves;
}

Result<Move> Engine::hold(std::string_view id, bool held) {
  return change_place(id, [&](QueuePlace& place) { place.held = held; });
}

Result<Move> Engine::set_priority(std::string_view id, int priority) {
  RETURN_IF_ERROR(check_priority(priority));
  return change_place(id, [&](QueuePlace& place) { place.priority = priority; });
}

Result<Move> Engine::change_place(std::string_view id,
                                  const std::function<void(QueuePlace&)>& edit) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = running_.find(id); it != running_.end() && !it->second->thread.joinable()) {
      MoveWork& waits = *it->second->move;
      const Move now = waits.snapshot();
      if (now.state == MoveState::kRunning && now.queue) {
        QueuePlace place = *now.queue;
        edit(place);
        RETURN_IF_ERROR(waits.wait_at(std::move(place)));
        id = it->first;
      }
    }
  }
  ASSIGN_OR_RETURN(const Move known, move(id));
  if (!known.queue) {
    return fail(ErrorCode::kConflict, "Move {} does not wait in the queue: it is {}.", id,
                known.state == MoveState::kRunning ? "under way" : move_state_name(known.state));
  }
  wait_for_a_look();
  return move(id);
}

void Engine::let_begin(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      const std::lock_guard lock(look_mutex_);
      look_wanted_ = false;
      ++looks_begun_;
    }
    const bool any = dispatch();
    std::unique_lock lock(look_mutex_);
    looks_ended_ = looks_begun_;
    look_changed_.notify_all();
    look_changed_.wait_for(lock, stop, any ? kLookInterval : kIdleInterval,
                           [&] { return look_wanted_; });
  }
}

void Engine::look_at_queue() {
  const std::lock_guard lock(look_mutex_);
  look_wanted_ = true;
  look_changed_.notify_all();
}

// Until a look that began after now has ended, or it takes long: a destination may not answer.
void Engine::wait_for_a_look() {
  std::unique_lock lock(look_mutex_);
  const std::uint64_t wanted = looks_begun_ + 1;
  look_wanted_ = true;
  look_changed_.notify_all();
  look_changed_.wait_for(lock, kLookWait, [&] { return looks_ended_ >= wanted; });
}

// In order; false: nobody waits. A place here is never kept while the destination's is waited for,
// so hosts that move VMs to each other cannot stop each other.
bool Engine::dispatch() {
  requeue();
  const std::vector<Waiting> order = waiting();
  pacing_.forget_others(order);
  std::vector<std::string> in_front;
  std::string nobody_because;  // nothing further down may begin
  std::string full_here;       // no further move within this host may
  unsigned position = 0;
  for (const Waiting& move : order) {
    const auto now = std::chrono::steady_clock::now();
    const HostSettings settings = world_.book.settings();
    std::string waits_for = move.place.waits_for;
    if (move.place.held) {
      waits_for = fmt::format("It is held. To let it go: drover queue release {}.", move.id);
    } else if (move.begin_at && std::chrono::system_clock::now() < *move.begin_at) {
      waits_for = fmt::format("It begins at {}, as asked.", local_time_text(*move.begin_at));
    } else if (move.place.not_before && *move.place.not_before > std::chrono::system_clock::now()) {
      waits_for = fmt::format("It does not begin before {:%H:%M:%S} UTC.",
                              fmt::gmtime(*move.place.not_before));
    } else if (move.kind == MoveKind::kStorage) {
      if (begin_here(move.id, settings, full_here)) continue;
      waits_for = full_here;
    } else if (!nobody_because.empty()) {
      waits_for = nobody_because;
    } else if (!settings.outgoing) {
      waits_for = nobody_because =
          fmt::format("{} lets no VM leave: drover settings outgoing=on.", world_.host_name);
    } else if (pacing_.may_ask(move.destination, now)) {
      if (!world_.slots.take(Slots::Way::kOut, move.id, settings.live_moves)) {
        waits_for = nobody_because = full_text(world_.host_name, world_.slots.used(), settings);
      } else {
        const auto [asked, text] = ask(move);
        if (asked == Asked::kGranted && begin(move.id)) {
          pacing_.passed(in_front);
          continue;
        }
        world_.slots.give_back(Slots::Way::kOut, move.id);
        waits_for = text;
      }
    }
    tell_place(move.id, ++position, waits_for);
    if (move.kind == MoveKind::kStorage) continue;
    const bool too_early = move.begin_at && std::chrono::system_clock::now() < *move.begin_at;
    if (move.place.held || too_early || !nobody_because.empty() ||
        !pacing_.is_full(move.destination))
      continue;
    in_front.push_back(move.id);
    if (pacing_.is_kept_for(move.id))
      nobody_because = fmt::format("Move {} has waited for longer.", move.id);
  }
  return !order.empty();
}

// A move within this host needs a place here alone. False: it waits, in order, for what `full`
// says.
bool Engine::begin_here(std::string_view id, const HostSettings& settings, std::string& full) {
  constexpr auto kWay = Slots::Way::kStorage;
  if (!full.empty()) return false;
  if (!world_.slots.take(kWay, id, settings.storage_moves)) {
    full = full_text(world_.host_name, world_.slots.used(kWay), settings, kWay);
    return false;
  }
  if (begin(id)) return true;
  world_.slots.give_back(kWay, id);
  return false;
}

// Moves whose attempt failed, and that shall be tried again.
void Engine::requeue() {
  std::vector<std::shared_ptr<Running>> over;  // they end without the lock
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : running_) {
    if (!entry->thread.joinable() || !entry->move->waits_again()) continue;
    entry->thread.join();  // it is at its last line
    const bool cancelled = entry->move->cancel_is_asked();
    auto next = std::make_shared<Running>(
        Running{make_move_work(world_, entry->move->take_job(), listener()), std::jthread()});
    if (cancelled) {
      (void)next->move->cancel();
      next->thread = std::jthread(
          [move = next->move.get()](std::stop_token stop) { move->run(std::move(stop)); });
    }
    over.push_back(std::exchange(entry, std::move(next)));
  }
}

std::pair<Engine::Asked, std::string> Engine::ask(const Waiting& move) {
  const auto now = std::chrono::steady_clock::now();
  const auto text =
      world_.peers.call(move.destination, verb::kAdmit, to_json(AdmitRequest{move.epoch, false}),
                        Deadline::after(kAskLimit));
  if (!text) {
    pacing_.failed(move.destination, now);
    return {Asked::kFailed, text.error().text()};
  }
  const auto reply = admit_reply_from_json(*text);
  if (!reply) {
    pacing_.failed(move.destination, now);
    return {Asked::kFailed, reply.error().text()};
  }
  if (!reply->granted) {
    pacing_.refused(move.destination, now, any_number());
    return {Asked::kFull, reply->text};
  }
  pacing_.granted(move.destination);
  return {Asked::kGranted, ""};
}

// False: it was held or cancelled meanwhile.
bool Engine::begin(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto it = running_.find(id);
  if (it == running_.end() || it->second->thread.joinable()) return false;
  Running& entry = *it->second;
  const Move move = entry.move->snapshot();
  if (move.state != MoveState::kRunning || !move.queue || move.queue->held) return false;
  log::info("Move {} of {}: its turn has come.", id, move.plan.vm.name);
  entry.move->admitted();
  entry.thread =
      std::jthread([work = entry.move.get()](std::stop_token stop) { work->run(std::move(stop)); });
  return true;
}

void Engine::tell_place(std::string_view id, unsigned position, const std::string& waits_for) {
  std::shared_ptr<Running> entry;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = running_.find(id); it != running_.end()) entry = it->second;
  }
  if (entry) entry->move->tell_place(position, waits_for);
}

}  // namespace drover::move
