// SPDX-License-Identifier: Apache-2.0
#include "fleet/assignment.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "fleet/best_host.h"

namespace drover::fleet {
namespace {

constexpr unsigned kExchangeLooks = 200'000;  // of all exchanges together: tens of milliseconds

// Seconds in which the links carry it, at this rate.
double copy_seconds(const FleetVm& vm, double rate) {
  return time_alone(vm, rate, {Seconds{}, Seconds{}, Seconds{}}).count();
}

}  // namespace

// What VMs of one group need alike, and the hosts that suit it.
struct Assignment::Need {
  std::vector<HostIndex> hosts;  // ascending
  bool looked_at_others = false;
  std::vector<ObstacleCount> others;  // allowed hosts that do not suit it
};

struct Assignment::Attempt {
  Room room;
  std::vector<Place> places;      // by wish
  std::vector<double> link_busy;  // by host: seconds of its link for what comes
};

Assignment::Assignment(const Fleet& fleet, const std::vector<Wish>& wishes,
                       const std::vector<std::vector<HostIndex>>& destinations)
    : fleet_(fleet), wishes_(wishes), destinations_(destinations), start_(fleet) {
  find_needs();
  measure_sizes();
}

Assignment::~Assignment() = default;

void Assignment::find_needs() {
  using Key = std::tuple<std::uint32_t, std::uint32_t, std::string, std::vector<std::string>,
                         std::vector<std::string>>;
  std::map<Key, std::uint32_t> known;
  for (const Wish& wish : wishes_) {
    const FleetVm& vm = fleet_.vms[wish.vm];
    const auto [it, is_new] =
        known.try_emplace(Key(wish.group, vm.vcpus, vm.cpu, vm.networks, vm.shared),
                          static_cast<std::uint32_t>(needs_.size()));
    need_of_.push_back(it->second);
    source_of_.push_back(start_.host(vm.host));
    if (!is_new) continue;
    Need& need = needs_.emplace_back();
    for (const HostIndex host : destinations_[wish.group]) {
      if (start_.suits(vm, host)) need.hosts.push_back(host);
    }
  }
}

void Assignment::measure_sizes() {
  double memory = 1, vcpus = 1, disk = 1;  // of an average host
  for (const FleetHost& host : fleet_.hosts) {
    memory += static_cast<double>(host.memory_total.bytes);
    vcpus += host.cores * 4.0;
    for (const Storage& storage : host.storages) disk += static_cast<double>(storage.free.bytes);
  }
  std::vector<double> sent(fleet_.hosts.size());
  for (std::uint32_t i = 0; i < wishes_.size(); ++i) {
    const FleetVm& vm = fleet_.vms[wishes_[i].vm];
    size_.push_back(std::max({static_cast<double>(vm.memory.bytes) / memory, vm.vcpus / vcpus,
                              static_cast<double>(vm.disk_space.bytes) / disk}));
    const auto link = static_cast<double>(fleet_.hosts[source_of_[i]].link_out.value);
    sent[source_of_[i]] += copy_seconds(vm, link);
    sources_need_ = std::max(sources_need_, sent[source_of_[i]]);
  }
}

std::vector<std::uint32_t> Assignment::order(Fill fill, bool by_priority) const {
  std::vector<std::uint32_t> wishes(wishes_.size());
  for (std::uint32_t i = 0; i < wishes.size(); ++i) wishes[i] = i;
  std::ranges::sort(wishes, {}, [&](std::uint32_t wish) {
    const std::size_t hosts = fill == Fill::kTight ? needs_[need_of_[wish]].hosts.size() : 0;
    const int priority = by_priority ? fleet_.vms[wishes_[wish].vm].priority : 0;
    return std::tuple(-static_cast<double>(priority), hosts, -size_[wish], wish);
  });
  return wishes;
}

HostIndex Assignment::choose(std::uint32_t wish, const Attempt& attempt, Fill fill,
                             bool leaving) const {
  const FleetVm& vm = fleet_.vms[wishes_[wish].vm];
  const BytesPerSecond out = fleet_.hosts[source_of_[wish]].link_out;
  HostIndex best = kNone;
  std::pair<double, double> best_cost;
  for (const HostIndex host : needs_[need_of_[wish]].hosts) {
    if (!attempt.room.fits(vm, host, leaving) || host == source_of_[wish]) continue;
    if (fleet_.hosts[host].name == vm.planned_to) return host;
    const auto rate = static_cast<double>(std::min(out, fleet_.hosts[host].link_in).value);
    const double busy = attempt.link_busy[host] + copy_seconds(vm, rate);
    const std::pair<double, double> cost =
        fill == Fill::kSpread
            ? std::pair(std::max(0.0, busy - sources_need_), attempt.room.load_with(vm, host))
            : std::pair(0.0, static_cast<double>(attempt.room.memory_free(host)));
    if (best == kNone || cost < best_cost) {
      best = host;
      best_cost = cost;
    }
  }
  return best;
}

bool Assignment::place(std::uint32_t wish, Attempt& attempt, Fill fill, bool leaving) const {
  const HostIndex host = choose(wish, attempt, fill, leaving);
  if (host == kNone) return false;
  const FleetVm& vm = fleet_.vms[wishes_[wish].vm];
  attempt.places[wish] = {host, attempt.room.take(vm, host)};
  attempt.link_busy[host] +=
      copy_seconds(vm, static_cast<double>(fleet_.hosts[host].link_in.value));
  attempt.room.depart(vm, source_of_[wish]);
  return true;
}

Assignment::Attempt Assignment::attempt(const std::vector<std::uint32_t>& wishes, Fill fill) const {
  Attempt made{start_, std::vector<Place>(wishes_.size()),
               std::vector<double>(fleet_.hosts.size())};
  for (const std::uint32_t wish : wishes) place(wish, made, fill, false);
  use_departures(wishes, made, fill);
  exchange(wishes, made);
  return made;
}

// Each VM that is placed leaves room at its host, on which another may count.
void Assignment::use_departures(const std::vector<std::uint32_t>& wishes, Attempt& attempt,
                                Fill fill) const {
  bool placed = true;
  while (placed) {
    placed = false;
    for (const std::uint32_t wish : wishes) {
      if (attempt.places[wish].host == kNone && place(wish, attempt, fill, true)) placed = true;
    }
  }
}

void Assignment::exchange(const std::vector<std::uint32_t>& wishes, Attempt& attempt) const {
  unsigned looks = kExchangeLooks;
  for (const std::uint32_t wish : wishes) {
    if (attempt.places[wish].host == kNone) exchange_for(wish, attempt, looks);
  }
}

// Another VM that was placed where this one could go, and has a place elsewhere, makes room.
bool Assignment::exchange_for(std::uint32_t wish, Attempt& attempt, unsigned& looks) const {
  const FleetVm& vm = fleet_.vms[wishes_[wish].vm];
  const auto& hosts = needs_[need_of_[wish]].hosts;
  for (std::uint32_t other = 0; other < wishes_.size(); ++other) {
    const Place place = attempt.places[other];
    if (place.host == kNone || place.host == source_of_[wish] ||
        !std::ranges::binary_search(hosts, place.host))
      continue;
    if (looks == 0) return false;
    --looks;
    const FleetVm& moved = fleet_.vms[wishes_[other].vm];
    attempt.room.give_back(moved, place.host, place.storage);
    if (attempt.room.fits(vm, place.host)) {
      const Place mine{place.host, attempt.room.take(vm, place.host)};
      if (const HostIndex away = choose(other, attempt, Fill::kTight, false); away != kNone) {
        attempt.places[other] = {away, attempt.room.take(moved, away)};
        attempt.places[wish] = mine;
        attempt.room.depart(vm, source_of_[wish]);
        return true;
      }
      attempt.room.give_back(vm, mine.host, mine.storage);
    }
    attempt.room.take_at(moved, place.host, place.storage);
  }
  return false;
}

// Fewer left of the highest priority at which they differ.
bool Assignment::better(const Attempt& a, const Attempt& b) const {
  std::map<int, int, std::greater<>> more_left_by_b;
  for (std::uint32_t i = 0; i < wishes_.size(); ++i) {
    const int more = (b.places[i].host == kNone) - (a.places[i].host == kNone);
    if (more != 0) more_left_by_b[fleet_.vms[wishes_[i].vm].priority] += more;
  }
  for (const auto& [priority, more] : more_left_by_b) {
    if (more != 0) return more > 0;
  }
  return false;
}

std::vector<Place> Assignment::assign() {
  for (const auto& [fill, by_priority] :
       {std::pair(Fill::kSpread, false), std::pair(Fill::kTight, false),
        std::pair(Fill::kTight, true)}) {
    auto made = std::make_unique<Attempt>(attempt(order(fill, by_priority), fill));
    const bool all =
        std::ranges::none_of(made->places, [](const Place& place) { return place.host == kNone; });
    if (!best_ || better(*made, *best_)) best_ = std::move(made);
    if (all) break;
  }
  return best_->places;
}

HostIndex Assignment::elsewhere(std::uint32_t wish, const Room& room) const {
  const Attempt now{room, {}, std::vector<double>(fleet_.hosts.size())};
  return choose(wish, now, Fill::kSpread, false);
}

std::vector<ObstacleCount> Assignment::obstacles(std::uint32_t wish, const Room& room) {
  const FleetVm& vm = fleet_.vms[wishes_[wish].vm];
  Need& need = needs_[need_of_[wish]];
  const auto count = [](std::vector<ObstacleCount>& counts, Obstacle obstacle, HostIndex host) {
    auto it = std::ranges::find(counts, obstacle, &ObstacleCount::obstacle);
    if (it == counts.end()) it = counts.insert(it, {obstacle, 0, host});
    ++it->hosts;
  };
  if (!need.looked_at_others) {
    need.looked_at_others = true;
    for (const HostIndex host : destinations_[wishes_[wish].group]) {
      if (!std::ranges::binary_search(need.hosts, host))
        count(need.others, room.unsuited(vm, host), host);
    }
  }
  std::vector<ObstacleCount> counts = need.others;
  for (const HostIndex host : need.hosts) {
    if (host == source_of_[wish]) continue;
    // Where nothing is in the way, others that wait hold the room that comes free.
    count(counts,
          room.fits(vm, host)                                      ? Obstacle::kCircle
          : room.memory_free(host) < std::int64_t(vm.memory.bytes) ? Obstacle::kMemory
                                                                   : Obstacle::kDiskSpace,
          host);
  }
  std::ranges::stable_sort(counts, std::ranges::greater{}, &ObstacleCount::hosts);
  return counts;
}

const Room& Assignment::room_left() const { return best_->room; }

}  // namespace drover::fleet
