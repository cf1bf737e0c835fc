// SPDX-License-Identifier: Apache-2.0
#include "forecast/predict.h"

#include <algorithm>
#include <cmath>

#include "forecast/memory_passes.h"

namespace drover::forecast {
namespace {

constexpr double kUsualLink = 110e6;    // 1 Gbit/s, where nothing was measured
constexpr double kUsualDisk = 200e6;    // likewise
constexpr double kReference = 0.01;     // of a block that the destination has, on the wire
constexpr double kRestoreRate = 400e6;  // of memory that has just come, out of the page cache
constexpr double kSpreadMost = 0.4;
constexpr std::chrono::seconds kDirtyFresh{10};  // what was measured before is a guess
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
  return std::clamp(usual_wire_share(link_of(scene, experience)) * experience.wire_factor, 0.02,
                    1.05);
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
  memory.dirty = scene.executes && scene.dirty_rate ? number(*scene.dirty_rate) : 0;
  memory.rate =
      std::min(experience.memory_rate, link_of(scene, experience) / std::max(cost, kReference));
  memory.convergence = scene.convergence;
  const MemoryCopy copy = copy_memory(memory);
  parts.memory =
      copy.seconds + std::max(0.0, number(scene.memory) - memory.used) / experience.zero_rate;
  parts.wire += copy.sent * cost;
  parts.converges = copy.converges;
  parts.ends_by_itself = copy.ends_by_itself;
  const bool stays = scene.convergence.policy == ConvergencePolicy::kGiveUp && copy.converges < 0.5;
  if (scene.executes && !stays) parts.pause = experience.pause + copy.left / memory.rate;
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
      add_proof(scene, experience, parts);
      break;
    case MoveKind::kStorage:
      add_storage(scene, experience, parts);
      break;
  }
  return parts;
}

namespace {

// A guest that was measured some time ago may do twice as much now, or half: how much that changes
// of the whole.
double spread_by_age(const Scene& scene, const Experience& experience, double total) {
  if (!scene.dirty_rate || scene.dirty_age <= kDirtyFresh || total <= 0) return 0;
  double spread = 0;
  for (const double times : {0.5, 2.0}) {
    Scene other = scene;
    other.dirty_rate->value =
        static_cast<std::uint64_t>(std::min(number(*scene.dirty_rate) * times, kBytesMost));
    spread = std::max(spread, std::abs(parts_of(other, experience).total() - total) / total);
  }
  return spread;
}

}  // namespace

StrategyForecast predict(const Scene& scene, const Experience& experience) {
  const Parts parts = parts_of(scene, experience);
  const double total = parts.total();
  const double unsure = experience.spread + spread_by_age(scene, experience, total);
  // What may never end by itself is known least of all.
  const double spread = parts.ends_by_itself ? std::min(unsure, kSpreadMost) : kSpreadMost;
  StrategyForecast made;
  made.strategy = strategy_of(scene);
  made.wire = {static_cast<std::uint64_t>(std::clamp(parts.wire, 0.0, kBytesMost))};
  made.least = span(total * (1 - spread));
  made.likely = span(total);
  made.most = span(total * (1 + spread));
  made.pause = span(parts.pause);
  made.converges_percent = static_cast<unsigned>(std::lround(parts.converges * 100));
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
  made.dirty_rate = scene.dirty_rate.value_or(BytesPerSecond{});
  made.dirty_age = scene.dirty_age;
  made.link_rate = scene.link;
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
