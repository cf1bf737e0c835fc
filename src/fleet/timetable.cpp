// SPDX-License-Identifier: Apache-2.0
#include "fleet/timetable.h"

#include <algorithm>
#include <unordered_map>

namespace drover::fleet {
namespace {

double link(BytesPerSecond rate) { return static_cast<double>(rate.value); }

}  // namespace

Timetable::Timetable(const Fleet& fleet, std::vector<TimedMove> moves, const MoveTiming& timing)
    : fleet_(fleet),
      timing_(timing),
      moves_(std::move(moves)),
      progress_(moves_.size()),
      room_(fleet),
      links_(fleet),
      used_(fleet.hosts.size()),
      held_for_(fleet.hosts.size(), kNone),
      leaving_(fleet.hosts.size()),
      coming_(fleet.hosts.size()),
      waiting_(fleet.hosts.size()) {
  for (const FleetHost& host : fleet.hosts)
    limit_.push_back(std::min(host.live_moves, kAtOnceMost));
  for (MoveIndex i = 0; i < moves_.size(); ++i) {
    if (moves_[i].running) continue;
    progress_[i].disk_left = static_cast<double>(vm(i).disk_bytes.bytes);
    progress_[i].memory_left = static_cast<double>(vm(i).memory.bytes);
    waiting_[moves_[i].source].push_back(i);
    waiting_[moves_[i].destination].push_back(i);
  }
}

void Timetable::run(const Elsewhere& elsewhere) {
  take_up_running();
  start_anything();
  while (true) {
    if (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      if (progress_[event.move].version == event.version) happen(event);
    } else if (under_way_ == 0 && lift_holds()) {
      start_anything();
    } else if (!start_elsewhere(elsewhere)) {
      break;
    }
  }
  end_ = Seconds(now_);
}

// Their room is taken already: Room knows the moves under way.
void Timetable::take_up_running() {
  std::unordered_map<std::string_view, const RunningMove*> by_vm;
  for (const RunningMove& move : fleet_.running) by_vm.emplace(move.vm, &move);
  for (MoveIndex i = 0; i < moves_.size(); ++i) {
    TimedMove& move = moves_[i];
    if (!move.running) continue;
    const RunningMove& known = *by_vm.at(vm(i).id);
    progress_[i].disk_left = static_cast<double>(known.disk_left.bytes);
    progress_[i].memory_left = static_cast<double>(known.memory_left.bytes);
    move.planned = true;
    ++under_way_;
    ++used_[move.source];
    ++used_[move.destination];
    leaving_[move.source].push_back(i);
    coming_[move.destination].push_back(i);
    progress_[i].part = move.gives_up ? Part::kFinishes : Part::kPrepares;
    schedule(i, move.gives_up ? timing_.patience.count() : 0);
  }
}

void Timetable::start_anything() {
  std::vector<HostIndex> freed;
  for (MoveIndex i = 0; i < moves_.size(); ++i) {
    if (progress_[i].part == Part::kWaits && can_start(i)) start(i, freed);
  }
  start_what_can(std::move(freed));
}

// Looks at the waiting moves of these hosts, in the order of rank; a start may lift a hold, so that
// more hosts are looked at.
void Timetable::start_what_can(std::vector<HostIndex> hosts) {
  while (!hosts.empty()) {
    std::vector<HostIndex> freed;
    for (MoveIndex next = first_waiting(hosts, 0); next != kNone;
         next = first_waiting(hosts, next + 1)) {
      if (can_start(next)) start(next, freed);
    }
    hosts = std::move(freed);
  }
}

// The first in rank, from `from` on, that waits for one of the hosts which has a slot.
MoveIndex Timetable::first_waiting(const std::vector<HostIndex>& hosts, MoveIndex from) const {
  MoveIndex first = kNone;
  for (const HostIndex host : hosts) {
    if (!has_slot(host)) continue;
    const auto it = std::ranges::lower_bound(waiting_[host], from);
    if (it != waiting_[host].end()) first = std::min(first, *it);
  }
  return first;
}

bool Timetable::can_start(MoveIndex index) const {
  const TimedMove& move = moves_[index];
  return has_slot(move.source) && has_slot(move.destination) &&
         room_.fits_at(vm(index), move.destination, move.storage) &&
         has_share(move.source, index) && has_share(move.destination, index) &&
         leaves_room_for_held(move.source, index) && leaves_room_for_held(move.destination, index);
}

// The one for which the host is held needs a slot, and what it wants of the link.
bool Timetable::leaves_room_for_held(HostIndex host, MoveIndex index) const {
  const MoveIndex held = held_for_[host];
  return index <= held || (used_[host] + 1 < limit_[host] && has_share(host, held));
}

// At this end of the move.
bool Timetable::has_share(HostIndex host, MoveIndex index) const {
  return moves_[index].source == host ? source_has_share(index) : destination_has_share(index);
}

// Equal parts: enough for each, or there is nobody to wait for.
bool Timetable::destination_has_share(MoveIndex index) const {
  const HostIndex host = moves_[index].destination;
  const auto& beside = coming_[host];
  if (beside.empty()) return true;
  double wanted = share_wanted(index);
  for (const MoveIndex move : beside) wanted = std::max(wanted, share_wanted(move));
  return link(fleet_.hosts[host].link_in) / static_cast<double>(beside.size() + 1) >= wanted;
}

// As LinkShares divides: what a move cannot use because of its destination is the others'.
bool Timetable::source_has_share(MoveIndex index) const {
  const HostIndex host = moves_[index].source;
  if (leaving_[host].empty()) return true;
  struct Sharer {
    double most, wanted;
  };
  std::vector<Sharer> sharers;
  const auto add = [&](MoveIndex move, std::size_t more) {
    const HostIndex there = moves_[move].destination;
    const auto coming = static_cast<double>(coming_[there].size() + more);
    sharers.push_back({link(fleet_.hosts[there].link_in) / coming, share_wanted(move)});
  };
  for (const MoveIndex move : leaving_[host]) {
    if (!moves_[move].gives_up) add(move, moves_[move].destination == moves_[index].destination);
  }
  add(index, 1);
  std::ranges::sort(sharers, {}, &Sharer::most);
  double left = link(fleet_.hosts[host].link_out);
  for (std::size_t i = 0; i < sharers.size(); ++i) {
    const auto [most, wanted] = sharers[i];
    const double equal = left / static_cast<double>(sharers.size() - i);
    if (equal < std::min(wanted, most)) return false;
    left -= std::min(most, equal);
  }
  return true;
}

double Timetable::share_wanted(MoveIndex index) const {
  const TimedMove& move = moves_[index];
  return std::min({static_cast<double>(vm(index).dirty_rate.value) * kShareOverDirty,
                   link(fleet_.hosts[move.source].link_out),
                   link(fleet_.hosts[move.destination].link_in)});
}

void Timetable::start(MoveIndex index, std::vector<HostIndex>& freed) {
  TimedMove& move = moves_[index];
  room_.take_at(vm(index), move.destination, move.storage);
  ++under_way_;
  leaving_[move.source].push_back(index);
  coming_[move.destination].push_back(index);
  for (const HostIndex host : {move.source, move.destination}) {
    ++used_[host];
    std::erase(waiting_[host], index);
    if (held_for_[host] == index) {
      hold(host);
      freed.push_back(host);
    }
  }
  move.planned = true;
  move.start = Seconds(now_);
  progress_[index].part = Part::kPrepares;
  schedule(index, now_ + timing_.prepare.count());
  count_passed(index);
}

void Timetable::count_passed(MoveIndex started) {
  for (const HostIndex host : {moves_[started].source, moves_[started].destination}) {
    for (const MoveIndex waits : waiting_[host]) {
      if (waits > started) break;
      if (++progress_[waits].passed != kPassedMost) continue;
      hold(moves_[waits].source);
      hold(moves_[waits].destination);
    }
  }
}

// For the first in rank that was passed often enough, or for nobody.
void Timetable::hold(HostIndex host) {
  const auto first = std::ranges::find_if(
      waiting_[host], [&](MoveIndex move) { return progress_[move].passed >= kPassedMost; });
  held_for_[host] = first == waiting_[host].end() ? kNone : *first;
}

void Timetable::happen(const Event& event) {
  now_ = event.at;
  TimedMove& move = moves_[event.move];
  Progress& progress = progress_[event.move];
  switch (progress.part) {
    case Part::kPrepares:
      progress.part = Part::kCopies;
      progress.updated = now_;
      move.copy_start = Seconds(now_);
      links_.join(event.move, move.source, move.destination);
      follow_shares();
      break;
    case Part::kCopies:
      advance(event.move);
      progress.part = Part::kFinishes;
      move.copy_end = Seconds(now_);
      steps_.push_back({move.copy_end, event.move, 0});
      links_.leave(event.move, move.source, move.destination);
      schedule(event.move, now_ + timing_.finish.count());
      follow_shares();
      break;
    case Part::kFinishes:
      progress.part = Part::kEnded;
      move.end = Seconds(now_);
      --under_way_;
      --used_[move.source];
      --used_[move.destination];
      std::erase(leaving_[move.source], event.move);
      std::erase(coming_[move.destination], event.move);
      if (move.gives_up) {
        room_.give_back(vm(event.move), move.destination, move.storage);
      } else {
        room_.gone(vm(event.move), move.source);
      }
      start_what_can({move.source, move.destination});
      break;
    case Part::kWaits:
    case Part::kEnded:
      break;
  }
}

void Timetable::follow_shares() {
  for (const auto& [index, share] : links_.changes()) {
    advance(index);
    Progress& progress = progress_[index];
    progress.share = share;
    steps_.push_back({Seconds(now_), index, share});
    const BytesPerSecond dirty = vm(index).dirty_rate;
    if (outruns(share, dirty)) moves_[index].outruns_link = true;
    schedule(index,
             now_ + progress.disk_left / share + progress.memory_left / memory_gain(share, dirty));
  }
}

// Brings what is left up to now: disks first, then memory.
void Timetable::advance(MoveIndex index) {
  Progress& progress = progress_[index];
  double passed = now_ - progress.updated;
  progress.updated = now_;
  if (progress.share == 0) return;
  moves_[index].bytes += passed * progress.share;
  const double for_disks = std::min(passed, progress.disk_left / progress.share);
  progress.disk_left = std::max(0.0, progress.disk_left - for_disks * progress.share);
  passed -= for_disks;
  progress.memory_left = std::max(
      0.0, progress.memory_left - passed * memory_gain(progress.share, vm(index).dirty_rate));
}

void Timetable::schedule(MoveIndex index, double at) {
  events_.push({at, index, ++progress_[index].version});
}

bool Timetable::lift_holds() {
  const bool held = std::ranges::any_of(held_for_, [](MoveIndex move) { return move != kNone; });
  std::ranges::fill(held_for_, kNone);
  for (Progress& progress : progress_) progress.passed = 0;
  return held;
}

// Nothing runs and nothing can start: room runs in a circle, unless one may go somewhere else.
bool Timetable::start_elsewhere(const Elsewhere& elsewhere) {
  bool any = false;
  std::vector<HostIndex> freed;
  for (MoveIndex i = 0; i < moves_.size(); ++i) {
    if (progress_[i].part != Part::kWaits) continue;
    const HostIndex host = elsewhere(i, room_);
    if (host == kNone) continue;
    std::erase(waiting_[moves_[i].destination], i);
    auto& there = waiting_[host];
    there.insert(std::ranges::lower_bound(there, i), i);
    moves_[i].destination = host;
    moves_[i].storage = room_.roomiest(vm(i), host);
    if (!can_start(i)) continue;
    start(i, freed);
    any = true;
  }
  return any;
}

}  // namespace drover::fleet
