// SPDX-License-Identifier: Apache-2.0
#include "forecast/predict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "forecast/memory_passes.h"

namespace drover::forecast {
namespace {

constexpr double kUsualLink = 110e6;    // 1 Gbit/s, where nothing was measured
constexpr double kUsualDisk = 200e6;    // likewise
constexpr double kReference = 0.01;     // of a block that the destination has, on the wire
constexpr double kRestoreRate = 400e6;  // of memory that has just come, out of the page cache
// Of what QEMU may leave for the pause (memory_passes.h), what it leaves: it looks again and again
// within a pass.
constexpr double kLeftUsual = 0.3;
constexpr double kSpreadMost = 0.4;
constexpr std::chrono::seconds kFresh{10};  // what was measured before is a guess
constexpr std::chrono::minutes kOld{10};    // and before this, of a guest, no more than a hint
constexpr double kLinkDiffers = 1.25;       // by what else is on it now
// Of a guest that nobody has measured, in bytes a second: from one that hardly works to one that
// does nothing but write.
constexpr std::array kPossible = {1e6, 4e6, 16e6, 64e6, 256e6};
constexpr double kLittleChance = 0.1;  // nothing is surer where nobody knows the guest
// More than a disk of any kind, and than anybody waits: numbers from elsewhere may be absurd.
constexpr double kBytesMost = 1e18;
constexpr double kSecondsMost = 1e9;

double number(ByteCount size) { return static_cast<double>(size.bytes); }
double number(BytesPerSecond rate) { return static_cast<double>(rate.value); }

double known(BytesPerSecond rate, double otherwise) {
  return rate.value > 0 ? number(rate) : otherwise;
}

double link_of(const Scene& scene, const Experience& experience) {
  const double link = known(scene.link, kUsualLink) * experience.link_use;
  return scene.bandwidth.value > 0 ? std::min(link, number(scene.bandwidth)) : link;
}

double wire_share(const Scene& scene, const Experience& experience) {
  if (!scene.compress) return 1;
  return std::clamp(forecast::wire_share(link_of(scene, experience), experience.packs), 0.02, 1.05);
}

// Of a part whose other end may hold some of it.
double wire_of(double size, double spared, double share) {
  return (size - spared) * share + spared * kReference;
}

double disk_rate(const Scene& scene, const Experience& experience) {
  if (experience.disks_shown) return experience.disk_rate;
  return std::min({experience.disk_rate, known(scene.read, experience.disk_rate),
                   known(scene.write, experience.disk_rate)});
}

void add_disks(const Scene& scene, const Experience& experience, Parts& parts) {
  const double size = number(scene.disks);
  const double wire = wire_of(size, number(scene.spared_disks), wire_share(scene, experience));
  parts.wire += wire;
  parts.disks = std::max(wire / link_of(scene, experience), size / disk_rate(scene, experience));
}

double used(const Scene& scene, const Experience& experience) {
  return std::min(number(scene.memory_used) * experience.used_factor, number(scene.memory));
}

void add_live_memory(const Scene& scene, const Experience& experience, Parts& parts) {
  MemoryScene memory;
  memory.used = used(scene, experience);
  const double spared = std::min(number(scene.spared_memory), memory.used);
  const double first = wire_of(memory.used, spared, wire_share(scene, experience));
  const double cost = memory.used > 0 ? first / memory.used : wire_share(scene, experience);
  memory.dirty = scene.executes ? number(scene.dirty_rate.value_or(kUsualDirtying)) : 0;
  memory.set = number(scene.dirty_set);
  memory.rate =
      std::min(experience.memory_rate, link_of(scene, experience) / std::max(cost, kReference));
  memory.skips_unchanged = scene.compress;
  memory.convergence = scene.convergence;
  const MemoryCopy copy = copy_memory(memory);
  parts.memory =
      copy.seconds + std::max(0.0, number(scene.memory) - memory.used) / experience.zero_rate;
  parts.wire += copy.sent * cost;
  parts.converges = copy.converges;
  parts.ends_by_itself = copy.ends_by_itself;
  const bool stays = scene.convergence.policy == ConvergencePolicy::kGiveUp && copy.converges < 0.5;
  if (!scene.executes || stays) return;
  parts.pause = experience.pause + (copy.last <= kPauseLimit ? copy.last * kLeftUsual : copy.last);
}

// It is carried while it is saved, and restored there afterwards.
void add_saved_memory(const Scene& scene, const Experience& experience, Parts& parts) {
  const double size = used(scene, experience);
  const double wire =
      wire_of(size, std::min(number(scene.spared_memory), size), wire_share(scene, experience));
  parts.wire += wire;
  const double carried = std::max(wire / link_of(scene, experience), size / experience.memory_rate);
  const double saved = size / known(scene.write, kUsualDisk);
  parts.pause = std::max(saved, carried) + size / kRestoreRate + experience.pause;
}

// It was saved before: a file that is carried after the disks.
void add_kept_memory(const Scene& scene, const Experience& experience, Parts& parts) {
  const double size = used(scene, experience);
  const double wire =
      wire_of(size, std::min(number(scene.spared_memory), size), wire_share(scene, experience));
  parts.wire += wire;
  parts.memory = std::max(wire / link_of(scene, experience), size / experience.memory_rate);
}

// On one device the same heads, or the same queue, serve both ends.
void add_storage(const Scene& scene, const Experience& experience, Parts& parts) {
  const double size = number(scene.disks);
  const double read = known(scene.read, kUsualDisk);
  const double write = known(scene.write, kUsualDisk);
  const double both = scene.one_device ? 1 / (1 / read + 1 / write) : std::min(read, write);
  double rate =
      experience.disks_shown ? experience.disk_rate : std::min(both, experience.disk_rate);
  if (scene.bandwidth.value > 0) rate = std::min(rate, number(scene.bandwidth));
  parts.disks = size / rate;
}

void add_proof(const Scene& scene, const Experience& experience, Parts& parts) {
  if (scene.verification == Verification::kNone) return;
  const double passes = scene.verification == Verification::kReadBack ? 2 : 1;
  parts.proof = passes * number(scene.disks) / experience.proof_rate;
}

std::chrono::milliseconds span(double seconds) {
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(std::clamp(seconds, 0.0, kSecondsMost) * 1000));
}

}  // namespace

Parts parts_of(const Scene& scene, const Experience& experience) {
  Parts parts;
  parts.rest = experience.rest;
  switch (scene.kind) {
    case MoveKind::kLive:
      add_disks(scene, experience, parts);
      add_live_memory(scene, experience, parts);
      add_proof(scene, experience, parts);
      break;
    case MoveKind::kQuick:
      add_disks(scene, experience, parts);
      add_saved_memory(scene, experience, parts);
      break;
    case MoveKind::kOffline:
      add_disks(scene, experience, parts);
      add_kept_memory(scene, experience, parts);
      add_proof(scene, experience, parts);
      break;
    case MoveKind::kStorage:
      add_storage(scene, experience, parts);
      break;
  }
  return parts;
}

double usual_rate(const Scene& scene) {
  const Experience experience = usual(scene);
  return std::min(experience.memory_rate,
                  link_of(scene, experience) / wire_share(scene, experience));
}

namespace {

BytesPerSecond rate_of(double bytes) {
  return {static_cast<std::uint64_t>(std::clamp(bytes, 0.0, kBytesMost))};
}

// By which a guest may do more or less now than when it was measured.
double guest_differs(const Scene& scene) {
  if (scene.dirty_age <= kFresh) return 1;
  return scene.dirty_age <= kOld ? 2 : 4;
}

// How much of the whole it changes if what was measured some time ago is no longer so.
double spread_by_age(const Scene& scene, const Experience& experience, double total) {
  if (total <= 0) return 0;
  const auto off = [&](const Scene& other) {
    return std::abs(parts_of(other, experience).total() - total) / total;
  };
  const double guest = guest_differs(scene);
  const double link = scene.link_age <= kFresh ? 1 : kLinkDiffers;
  double by_guest = 0, by_link = 0;
  for (const bool more : {false, true}) {
    Scene other = scene;
    if (scene.dirty_rate)
      other.dirty_rate = rate_of(number(*scene.dirty_rate) * (more ? guest : 1 / guest));
    by_guest = std::max(by_guest, off(other));
    other = scene;
    other.link = rate_of(number(scene.link) * (more ? link : 1 / link));
    by_link = std::max(by_link, off(other));
  }
  return by_guest + by_link;
}

// Where little is known of the guest, by all that it may do.
double chance_of(const Scene& scene, const Experience& experience, double known) {
  std::vector<double> possible;
  if (is_guest_unknown(scene))
    possible.assign(kPossible.begin(), kPossible.end());
  else if (scene.dirty_rate && scene.dirty_age > kOld)
    possible = {number(*scene.dirty_rate) / 4, number(*scene.dirty_rate),
                number(*scene.dirty_rate) * 4};
  if (possible.empty()) return known;
  double sum = 0;
  for (const double dirty : possible) {
    Scene other = scene;
    other.dirty_rate = rate_of(dirty);
    sum += parts_of(other, experience).converges;
  }
  return std::clamp(sum / static_cast<double>(possible.size()), kLittleChance, 1 - kLittleChance);
}

}  // namespace

StrategyForecast predict(const Scene& scene, const Experience& experience) {
  const Parts parts = parts_of(scene, experience);
  const double total = parts.total();
  const double unsure = experience.spread + spread_by_age(scene, experience, total);
  // What may never end by itself is known least of all, and what a guest does that nobody measured.
  const bool known = parts.ends_by_itself && !is_guest_unknown(scene);
  const double spread = known ? std::min(unsure, kSpreadMost) : kSpreadMost;
  StrategyForecast made;
  made.strategy = strategy_of(scene);
  made.wire = {static_cast<std::uint64_t>(std::clamp(parts.wire, 0.0, kBytesMost))};
  made.least = span(total * (1 - spread));
  made.likely = span(total);
  made.most = span(total * (1 + spread));
  made.pause = span(parts.pause);
  made.converges_percent =
      static_cast<unsigned>(std::lround(chance_of(scene, experience, parts.converges) * 100));
  return made;
}

Forecast make_forecast(const Scene& scene, std::string_view destination, std::string_view vm_uuid,
                       std::span<const Move> moves) {
  Forecast made;
  const Experience own = learn(scene, destination, vm_uuid, moves);
  made.strategies.push_back(predict(scene, own));
  const auto also = [&](Scene other) {
    made.strategies.push_back(predict(other, learn(other, destination, vm_uuid, moves)));
  };
  if (scene.kind == MoveKind::kLive || scene.kind == MoveKind::kQuick) {
    Scene other = scene;
    other.kind = MoveKind::kLive;
    if (scene.kind == MoveKind::kLive) other.compress = !scene.compress;
    also(other);
    if (scene.kind == MoveKind::kLive && scene.executes) {
      other = scene;
      other.kind = MoveKind::kQuick;
      also(other);
    }
  }
  made.dirty_rate = scene.dirty_rate;
  made.dirty_set = scene.dirty_set;
  made.dirty_age = scene.dirty_age;
  made.link_rate = scene.link;
  made.link_age = scene.link_age;
  made.bandwidth = scene.bandwidth;
  made.read_rate = scene.read;
  made.write_rate = scene.write;
  made.memory = scene.memory_used;
  made.disks = scene.disks;
  made.spared = scene.spared_disks + scene.spared_memory;
  made.learnt_from = own.moves;
  return made;
}

}  // namespace drover::forecast
