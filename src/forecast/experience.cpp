// SPDX-License-Identifier: Apache-2.0
#include "forecast/experience.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "forecast/predict.h"

namespace drover::forecast {
namespace {

constexpr std::size_t kMovesMost = 8;
constexpr std::size_t kEnoughOfVm = 3;  // moves of this VM: then no others are asked
constexpr double kWorthLooking = 16e6;  // bytes below which a rate says nothing
constexpr double kLinkBound = 0.7;      // of the link's rate: then the link was what limited it
constexpr double kUsualLink = 110e6;
constexpr double kStart = 0.4;  // of copying disks, until QEMU runs at the destination
constexpr double kMemoryStart = 0.3;
// A disk's cache takes what is written to measure it faster than the disk takes all of a VM's.
constexpr double kUsualCopyWithin = 400e6;
constexpr double kRestLeast = 0.05;
constexpr double kPackedLink = 120e6;   // on a faster one not everything is packed
constexpr double kAlikeLinks = 1.1;     // the logarithm of how many times one may be as fast
constexpr double kPauseMost = 2;        // beside what is carried in it
constexpr double kSavedPauseMost = 10;  // likewise, of a quick move
constexpr double kSavedOverhead = 1.0;  // of a quick move: the definition, QEMU started anew

using Samples = std::vector<double>;

double number(ByteCount size) { return static_cast<double>(size.bytes); }

std::optional<double> median(Samples samples) {
  if (samples.empty()) return std::nullopt;
  std::ranges::sort(samples);
  const std::size_t half = samples.size() / 2;
  return samples.size() % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

// What is usual, unless moves show that it is something else here: one or two are not believed, and
// those that scatter around it confirm it.
double usual_unless(double usual, Samples samples) {
  if (samples.size() < kEnoughOfVm) return usual;
  std::ranges::sort(samples);
  const std::size_t odd = samples.size() / 4;  // at either end
  const bool scattered = samples[odd] <= usual && usual <= samples[samples.size() - 1 - odd];
  return scattered ? usual : *median(std::move(samples));
}

double seconds(std::chrono::system_clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

double seconds_in(const Move& move, Phase phase) {
  double sum = 0;
  for (const PhaseTimes& times : move.phases) {
    if (times.phase == phase && times.ended_at) sum += seconds(*times.ended_at - times.started_at);
  }
  return sum;
}

double proof_seconds(const Move& move) {
  if (!move.report || !move.report->proof) return 0;
  return std::chrono::duration<double>(move.report->proof->duration).count();
}

// They went before the copy, and are in its bytes, but not in its time.
bool brought_layers(const Plan& plan) {
  return plan.kind == MoveKind::kLive &&
         std::ranges::any_of(
             plan.files, [](const FilePlacement& file) { return !file.present && !file.shared; });
}

// Of a running VM QEMU copies the disks on the same host, of another droverd itself.
bool copies_alike(const Plan& plan, const Scene& scene) {
  return scene.kind != MoveKind::kStorage || (plan.vm.state == VmState::kRunning) == scene.executes;
}

// Times in which a move only waits say nothing about the next one.
bool is_like(const Move& move, const Scene& scene, std::string_view destination) {
  const Plan& plan = move.plan;
  return move.state == MoveState::kDone && move.report && plan.forecast && !plan.request.window &&
         plan.kind == scene.kind && copies_alike(plan, scene) && !brought_layers(plan) &&
         move.destination == destination && time_worked(move) && !plan.forecast->strategies.empty();
}

bool counts(const Move& move, const Scene& scene, std::string_view destination) {
  return is_like(move, scene, destination) &&
         move.plan.forecast->strategies.front().strategy == strategy_of(scene);
}

// Of a move whose link nobody knew it is not known either what held it up.
std::vector<const Move*> chosen(const Scene& scene, std::string_view destination,
                                std::string_view vm_uuid, std::span<const Move> moves) {
  const auto fits = [&](const Move& move) { return counts(move, scene, destination); };
  const auto knows_link = [](const Move& move) { return move.plan.forecast->link_rate.value > 0; };
  const bool by_link = scene.link.value > 0 && std::ranges::any_of(moves, [&](const Move& move) {
                         return fits(move) && knows_link(move);
                       });
  std::vector<const Move*> of_vm, all;
  for (const Move& move : moves) {
    if (!fits(move) || (by_link && !knows_link(move))) continue;
    if (all.size() < kMovesMost) all.push_back(&move);
    if (move.plan.vm.uuid == vm_uuid && of_vm.size() < kMovesMost) of_vm.push_back(&move);
  }
  return of_vm.size() >= kEnoughOfVm ? of_vm : all;
}

// What travelled of what QEMU gave, by the wire's count. What did not change, and what was there
// from an earlier move, are no measure of the next move's content. QEMU gives pages of zeroes as
// marks.
std::optional<double> wire_share_of(const Move& move) {
  const Report& report = *move.report;
  if (!report.kinds) return std::nullopt;
  const TransferKinds& kinds = *report.kinds;
  const double given =
      number(kinds.packed) + number(kinds.untouched) - number(kinds.same) - number(kinds.residue);
  if (given < kWorthLooking / 2) return std::nullopt;
  return number(report.bytes_on_wire) / given;
}

// Of what the link was measured at; 0: it was not.
double link_used(const Move& move, double copying) {
  const double link = static_cast<double>(move.plan.forecast->link_rate.value);
  const double limit = static_cast<double>(bandwidth_of(move.plan).value);
  const double least = limit > 0 ? std::min(link > 0 ? link : limit, limit) : link;
  if (least <= 0 || copying <= 0) return 0;
  return number(move.report->bytes_on_wire) / copying / least;
}

// What compression leaves depends on the link: a slow one leaves it time.
double link_of(const Move& move) {
  const double measured = static_cast<double>(move.plan.forecast->link_rate.value);
  const double limit = static_cast<double>(bandwidth_of(move.plan).value);
  const double link = measured > 0 ? measured : kUsualLink;
  return limit > 0 ? std::min(link, limit) : link;
}

double link_of(const Scene& scene) {
  const double link = scene.link.value > 0 ? static_cast<double>(scene.link.value) : kUsualLink;
  const double limit = static_cast<double>(scene.bandwidth.value);
  return limit > 0 ? std::min(link, limit) : link;
}

// Of what compression leaves, by moves over links that leave it the time. A guest's own content
// goes before what others' on like links have shown.
void learn_shares(const Scene& scene, std::string_view vm_uuid,
                  const std::vector<const Move*>& moves, Experience& experience) {
  Samples own, alike, all;
  for (const Move* move : moves) {
    const double link = link_of(*move);
    const auto share = wire_share_of(*move);
    if (!share || link * experience.link_use > kPackedLink) continue;
    const double factor = *share / wire_share(link * experience.link_use, 1);
    all.push_back(factor);
    if (std::abs(std::log(link / link_of(scene))) < kAlikeLinks) alike.push_back(factor);
    if (move->plan.vm.uuid == vm_uuid) own.push_back(factor);
  }
  for (const Samples* samples : {&own, &alike, &all}) {
    if (samples->empty()) continue;
    experience.packs = std::clamp(*median(*samples), 0.05, 2.0);
    return;
  }
}

// What a guest does with its memory is the same whatever carries it.
void learn_guest(const Scene& scene, std::string_view destination, std::span<const Move> moves,
                 Experience& experience) {
  Samples used;
  for (const Move& move : moves) {
    const auto& passes = move.report ? move.report->passes : std::vector<MemoryPass>{};
    if (passes.empty() || !is_like(move, scene, destination)) continue;
    const double memory = number(move.plan.forecast->memory);
    // The first pass takes all memory; what was never written is a mark of a few bytes.
    if (passes.front().number == 1 && memory > 0 && used.size() < kMovesMost)
      used.push_back(number(passes.front().sent) / memory);
  }
  if (const auto factor = median(used)) experience.used_factor = std::clamp(*factor, 0.1, 1.5);
}

void learn_rates(const std::vector<const Move*>& moves, Experience& experience) {
  Samples disks, memory, proof, use;
  double disks_seen = 0, memory_seen = 0;
  for (const Move* move : moves) {
    const Report& report = *move->report;
    const bool other_qemu = move->plan.kind != MoveKind::kStorage;
    const double disk_time = seconds_in(*move, Phase::kCopyDisks) - (other_qemu ? kStart : 0);
    const double memory_time = seconds_in(*move, Phase::kCopyMemory) - kMemoryStart;
    const double used = link_used(*move, disk_time + memory_time);
    const bool by_link = used > kLinkBound;
    if (by_link) use.push_back(used);
    if (number(report.disks_sent) > kWorthLooking && disk_time > 0.1) {
      const double rate = number(report.disks_sent) / disk_time;
      if (!by_link) disks.push_back(rate);
      disks_seen = std::max(disks_seen, rate);
    }
    if (number(report.memory_sent) > kWorthLooking && memory_time > 0.1) {
      const double rate = number(report.memory_sent) / memory_time;
      if (!by_link) memory.push_back(rate);
      memory_seen = std::max(memory_seen, rate);
    }
    if (report.proof && number(report.proof->compared) > kWorthLooking && proof_seconds(*move) > 0)
      proof.push_back(number(report.proof->compared) / proof_seconds(*move));
  }
  experience.disks_shown = !disks.empty();
  // What was limited by the link could have been faster: it only shows what is possible.
  experience.disk_rate = median(disks).value_or(std::max(experience.disk_rate, disks_seen));
  experience.memory_rate = median(memory).value_or(std::max(experience.memory_rate, memory_seen));
  if (const auto rate = median(proof)) experience.proof_rate = *rate;
  if (const auto part = median(use)) experience.link_use = std::clamp(*part, 0.5, 1.0);
}

// What a move was forecast from. Where nobody had measured what the guest changes, its passes have
// shown it since; nothing: they were not seen.
std::optional<Scene> scene_shown(const Move& move) {
  Scene scene = scene_of(move.plan, move.convergence);
  if (!is_guest_unknown(scene)) return scene;
  const auto& passes = move.report->passes;
  if (passes.empty()) return std::nullopt;
  scene.dirty_rate = passes.back().dirtied;  // 0: there was too little for another pass
  return scene;
}

// What the parts that were forecast leave over is the rest: so each move that ended would have been
// forecast right, but for what differs between moves.
void learn_rest(std::string_view vm_uuid, const std::vector<const Move*>& moves,
                Experience& experience) {
  Samples rest, pause, off;
  std::vector<std::pair<double, double>> copied;  // by the scene, and in truth
  for (const Move* move : moves) {
    const auto scene = scene_shown(*move);
    if (!scene) continue;
    const Parts parts = parts_of(*scene, experience);
    const double copying = parts.disks + parts.memory + parts.pause;
    const double worked = seconds(*time_worked(*move)) - proof_seconds(*move);
    copied.emplace_back(copying, worked);
    rest.push_back(worked - copying);
    // What a live move's pause is depends on the guest; saving one and starting it there does not.
    const bool quick = move->plan.kind == MoveKind::kQuick;
    const bool tells = quick || move->plan.vm.uuid == vm_uuid;
    if (tells && move->report->pause && parts.pause > 0 && parts.ends_by_itself) {
      const double carried = parts.pause - experience.pause;
      // A live move's last pass is never longer; all of a saved guest is carried in its pause.
      pause.push_back(seconds(*move->report->pause) - (quick ? carried : std::min(carried, 0.3)));
    }
  }
  if (const auto value = median(rest)) experience.rest = std::clamp(*value, kRestLeast, 60.0);
  const bool saved = !moves.empty() && moves.front()->plan.kind == MoveKind::kQuick;
  experience.pause =
      std::clamp(usual_unless(experience.pause, pause), 0.02, saved ? kSavedPauseMost : kPauseMost);
  for (const auto& [copying, worked] : copied) {
    if (worked > 0) off.push_back(std::abs(copying + experience.rest - worked) / worked);
  }
  if (off.size() >= 3) experience.spread = std::clamp(*median(off) * 2, 0.15, 0.4);
}

}  // namespace

// Seen on two cores: 0.3 to 0.54 at 100 Mbit/s, 0.4 to 0.54 at 1 Gbit/s, by what the guest holds;
// all of it from 150 MB/s on, where the mover packs no more (docs/mover_protocol.md).
double wire_share(double link, double packs) {
  constexpr double kSlow = 12e6, kSlowShare = 0.46;
  constexpr double kFastShare = 0.5;
  constexpr double kFree = 200e6, kFreeShare = 1;
  const auto between = [&](double from, double at, double to, double first, double last) {
    const double way = std::log(at / from) / std::log(to / from);
    return first + std::clamp(way, 0.0, 1.0) * (last - first);
  };
  return link <= kPackedLink
             ? between(kSlow, link, kPackedLink, kSlowShare * packs, kFastShare * packs)
             : between(kPackedLink, link, kFree, kFastShare * packs, kFreeShare);
}

Experience usual(const Scene& scene) {
  Experience experience;
  if (!scene.compress) {
    experience.disk_rate = 400e6;
    experience.memory_rate = 600e6;
  }
  if (scene.kind == MoveKind::kStorage) {
    experience.rest = 0.1;
    experience.disk_rate = scene.one_device ? kUsualCopyWithin : 1e9;
  }
  if (scene.kind == MoveKind::kQuick || scene.kind == MoveKind::kOffline) experience.rest = 1.2;
  if (scene.kind == MoveKind::kQuick) experience.pause = kSavedOverhead;
  return experience;
}

Experience learn(const Scene& scene, std::string_view destination, std::string_view vm_uuid,
                 std::span<const Move> moves) {
  Experience experience = usual(scene);
  const std::vector<const Move*> found = chosen(scene, destination, vm_uuid, moves);
  learn_guest(scene, destination, moves, experience);
  if (found.empty()) return experience;
  experience.moves = static_cast<unsigned>(found.size());
  learn_rates(found, experience);
  learn_shares(scene, vm_uuid, found, experience);
  learn_rest(vm_uuid, found, experience);
  return experience;
}

// The queue comes before the first phase, and the forecast is made, or made anew, within the phase
// plan. An attempt that failed before this one is not counted.
std::optional<std::chrono::milliseconds> time_worked(const Move& move) {
  const auto first = std::ranges::find_if(
      move.phases, [](const PhaseTimes& times) { return times.phase != Phase::kPlan; });
  if (!move.ended_at || first == move.phases.end()) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(*move.ended_at - first->started_at);
}

}  // namespace drover::forecast
