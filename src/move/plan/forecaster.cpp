// SPDX-License-Identifier: Apache-2.0
#include "move/plan/forecaster.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <thread>

#include <sys/stat.h>

#include "base/deadline.h"
#include "base/log.h"
#include "forecast/predict.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_speed.h"
#include "move/job.h"
#include "move/peer_messages.h"
#include "move/plan/measure.h"
#include "move/plan/shared_disks.h"
#include "move/world.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuestSpan = 1s;    // libvirt measures whole seconds
constexpr auto kGuestLimit = 2s;   // from its beginning, which was before the checks
constexpr auto kGuestFresh = 10s;  // then it is not measured anew
constexpr auto kGuestKept = 10min;
constexpr auto kLinkAge = 10s;
constexpr auto kDiskAge = 30s;
constexpr std::size_t kGuestsMax = 256;
constexpr auto kDiskLimit = 150ms;  // of each
constexpr auto kReadLimit = 400ms;  // of all; then what is known has to do
constexpr auto kAskLimit = 5s;
constexpr int kMovesLooked = 100;
// Of memory that a host has kept, what is still the same, but for what the guest changed since:
// the kernel's own pages come and go.
constexpr double kMemorySame = 0.9;

std::vector<std::string> folders_of(const Plan& plan) {
  std::set<std::string> folders;
  for (const DiskPlacement& placement : copied_disks(plan))
    folders.insert(std::filesystem::path(placement.destination_path).parent_path().string());
  return {folders.begin(), folders.end()};
}

ByteCount disks_of(const Plan& plan) {
  ByteCount sum;
  for (const DiskPlacement& placement : copied_disks(plan)) sum += placement.allocated;
  for (const FilePlacement& file : plan.files) {
    if (!file.present && !file.shared) sum += file.allocated;
  }
  return sum;
}

bool same_device(const DiskPlacement& placement) {
  struct stat from{}, to{};
  const auto folder = std::filesystem::path(placement.destination_path).parent_path();
  return ::stat(placement.source_path.c_str(), &from) == 0 && ::stat(folder.c_str(), &to) == 0 &&
         from.st_dev == to.st_dev;
}

// The newest first. Those under way have no end yet, and learn() leaves them out.
std::vector<Move> moves_before(World& world) {
  std::vector<Move> moves;
  const auto jobs = world.journal.newest_jobs(journal::Side::kSource, kMovesLooked);
  if (!jobs) return moves;
  for (const std::string& text : *jobs) {
    auto job = source_job_from_json(text);
    if (job && job->move.state == MoveState::kDone) moves.push_back(std::move(job->move));
  }
  std::ranges::sort(moves, std::ranges::greater{}, &Move::started_at);
  return moves;
}

// What the guest has written since it came here is not what the other host has.
void add_held(const MeasureReply& reply, ByteCount written, forecast::Scene& scene) {
  scene.spared_disks = std::min(reply.held_disks, scene.disks) - written;
  const double held = static_cast<double>(std::min(reply.held_memory, scene.memory_used).bytes);
  if (held <= 0) return;
  const double changed = scene.dirty_rate ? static_cast<double>(scene.dirty_rate->value) : 0;
  const double age = static_cast<double>(reply.age.count());
  scene.spared_memory = {
      static_cast<std::uint64_t>(held * kMemorySame * std::exp(-changed * age / held))};
}

std::string road_key(const Plan& plan) {
  std::string key = plan.request.destination;
  for (const NetworkPair& pair : plan.networks) key += " " + pair.destination_address;
  return key;
}

std::optional<MeasureReply> ask_there(World& world, const Plan& plan) {
  const MeasureRequest question{plan.vm.uuid, folders_of(plan), 0};
  const auto text = world.peers.call(plan.request.destination, verb::kMeasure, to_json(question),
                                     Deadline::after(kAskLimit));
  const auto reply = text ? measure_reply_from_json(*text) : std::unexpected(text.error());
  return reply ? std::optional(*reply) : std::nullopt;
}

}  // namespace

Forecaster::Forecaster()
    : disks_(kDiskAge, RateBook::Unknown::kKept),
      links_(kLinkAge, RateBook::Unknown::kAskedAgain) {}

void Forecaster::begin(World& world, const MoveRequest& request) {
  if (!request.measure || request.kind == MoveKind::kStorage) return;
  const auto load = world.hypervisor.guest_load(request.vm);
  if (!load) return;  // the plan itself will say why
  remember(request.vm, *load);
  if (load->dirty_rate && load->dirty_age <= kGuestFresh) return;
  // Most often it does not run.
  if (auto begun = world.hypervisor.measure_dirtying(request.vm, kGuestSpan); !begun) {
    log::debug("No forecast of what {} changes: {}", request.vm, begun.error().text());
    return;
  }
  const std::lock_guard lock(mutex_);
  guest_of(request.vm).asked_at = Clock::now();
}

std::optional<Forecast> Forecaster::make(World& world, const Plan& plan) {
  if (std::ranges::any_of(plan.findings, [](const Finding& finding) {
        return finding.level == FindingLevel::kBlocker;
      })) {
    return std::nullopt;
  }
  std::vector<std::string> notes;
  const forecast::Scene scene = scene_of(world, plan, notes);
  const std::string& to = plan.request.destination;
  Forecast made = forecast::make_forecast(scene, to, plan.vm.uuid, moves_before(world));
  made.notes = std::move(notes);
  if (plan.request.window)
    made.notes.emplace_back("The time that memory waits for its window is not counted.");
  return made;
}

forecast::Scene Forecaster::scene_of(World& world, const Plan& plan,
                                     std::vector<std::string>& notes) {
  const HostSettings settings = world.book.settings();
  forecast::Scene scene;
  scene.kind = plan.kind;
  scene.compress = plan.request.performance.value_or(settings.performance) != Performance::kDirect;
  scene.executes = plan.vm.state == VmState::kRunning;
  scene.disks = disks_of(plan);
  scene.bandwidth = plan.request.bandwidth;
  if (settings.bandwidth.value > 0 && plan.kind != MoveKind::kStorage &&
      (scene.bandwidth.value == 0 || settings.bandwidth < scene.bandwidth)) {
    scene.bandwidth = settings.bandwidth;
  }
  scene.convergence = plan.request.convergence.value_or(settings.convergence);
  scene.verification = plan.request.verification;
  if (plan.vm.state != VmState::kOff) scene.memory = scene.memory_used = plan.vm.memory;
  if (!plan.request.measure) {
    notes.emplace_back("Neither the guest nor the link was measured for it, as was asked.");
    return scene;
  }
  measure_move(world, plan, scene, notes);
  return scene;
}

// All at once: guest, disks and the way have little to do with each other.
void Forecaster::measure_move(World& world, const Plan& plan, forecast::Scene& scene,
                              std::vector<std::string>& notes) {
  if (plan.kind == MoveKind::kStorage) {  // both ends are here, and may be one device
    if (scene.disks.bytes == 0) return;
    scene.read = read_rate(plan);
    scene.write = measure_here(world, "", {{}, folders_of(plan), 0}).write;
    scene.one_device = std::ranges::any_of(plan.placements, same_device);
    return;
  }
  std::optional<MeasureReply> reply;
  {
    const std::jthread there([&] { reply = ask_there(world, plan); });
    const std::jthread way([&] {
      scene.link = links_.get(road_key(plan), [&] { return measure_link(world, plan); });
    });
    if (scene.disks.bytes > 0) scene.read = read_rate(plan);
  }
  if (scene.link.value == 0) {
    notes.push_back(fmt::format("The way to {} could not be measured: it is taken for 1 Gbit/s.",
                                plan.request.destination));
  }
  add_guest(world, plan, scene, notes);
  if (!reply) return;
  scene.write = reply->write;
  if (!plan.request.references || !scene.compress) return;
  const auto load = world.hypervisor.guest_load(plan.vm.uuid);
  add_held(*reply, load ? load->disks_written : ByteCount{}, scene);
}

// The slowest of its disks; 0: none can say.
BytesPerSecond Forecaster::read_rate(const Plan& plan) {
  BytesPerSecond least;
  const Deadline limit = Deadline::after(kReadLimit);
  for (const DiskPlacement& placement : copied_disks(plan)) {
    if (limit.expired()) break;
    const BytesPerSecond speed = disks_.get("read " + placement.source_path, [&] {
      return reading_speed(placement.source_path, kDiskLimit).value_or(BytesPerSecond{});
    });
    if (speed.value > 0 && (least.value == 0 || speed < least)) least = speed;
  }
  return least;
}

void Forecaster::add_guest(World& world, const Plan& plan, forecast::Scene& scene,
                           std::vector<std::string>& notes) {
  if (plan.vm.state != VmState::kRunning && plan.vm.state != VmState::kPaused) return;
  const auto load = load_of(world, plan);
  if (load && load->memory_held.bytes > 0)
    scene.memory_used = std::min(scene.memory, load->memory_held);
  if (load) remember(plan.request.vm, *load);
  if (!scene.executes) {
    scene.dirty_rate = BytesPerSecond{};
    return;
  }
  const Guest guest = known(plan.request.vm);
  const auto age = Clock::now() - guest.measured_at;
  if (guest.rate && age <= kGuestKept) {
    scene.dirty_rate = guest.rate;
    scene.dirty_age = std::chrono::duration_cast<std::chrono::milliseconds>(age);
    return;
  }
  notes.push_back(
      fmt::format("libvirt could not measure how much memory {} changes: it is taken for little.",
                  plan.vm.name));
}

// Waits for the measurement that begin() began, but in a hurry only if nothing of the last minutes
// is known. Nothing: the hypervisor does not tell.
std::optional<GuestLoad> Forecaster::load_of(World& world, const Plan& plan) {
  const Guest guest = known(plan.request.vm);
  const bool kept = guest.rate && Clock::now() - guest.measured_at <= kGuestKept;
  const auto until = guest.asked_at + kGuestLimit;
  const bool waits = plan.vm.state == VmState::kRunning && !(kept && plan.request.hurry);
  while (true) {
    auto load = world.hypervisor.guest_load(plan.vm.uuid);
    if (!load) return std::nullopt;
    const bool told = load->dirty_rate && load->dirty_age <= kGuestKept;
    const bool tells = load->memory_held.bytes > 0;
    if (told || !waits || !tells || Clock::now() >= until) return *load;
    std::this_thread::sleep_for(50ms);
  }
}

void Forecaster::remember(const std::string& vm, const GuestLoad& load) {
  const std::lock_guard lock(mutex_);
  if (!load.dirty_rate) {
    // A QEMU that was asked for nothing and tells nothing is not the one that told us.
    const auto found = guests_.find(vm);
    if (found != guests_.end() && Clock::now() - found->second.asked_at > kGuestLimit)
      found->second.rate.reset();
    return;
  }
  Guest& guest = guest_of(vm);
  guest.rate = load.dirty_rate;
  guest.measured_at = Clock::now() - load.dirty_age;
}

Forecaster::Guest& Forecaster::guest_of(const std::string& vm) {
  if (guests_.size() >= kGuestsMax && !guests_.contains(vm)) guests_.clear();
  return guests_[vm];
}

Forecaster::Guest Forecaster::known(const std::string& vm) {
  const std::lock_guard lock(mutex_);
  const auto found = guests_.find(vm);
  return found == guests_.end() ? Guest{} : found->second;
}

}  // namespace drover::move
