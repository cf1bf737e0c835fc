// SPDX-License-Identifier: Apache-2.0
#include "move/forecaster.h"

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
#include "move/measure.h"
#include "move/peer_messages.h"
#include "move/shared_disks.h"
#include "move/world.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuestSpan = 1s;       // libvirt measures whole seconds
constexpr auto kGuestLimit = 1600ms;  // after the checks, which took a part of the second
constexpr auto kGuestAge = 30s;
constexpr auto kLinkAge = 10s;
constexpr std::size_t kBookMax = 256;
constexpr auto kDiskLimit = 150ms;
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

// The slowest of its disks; 0: none can say.
BytesPerSecond reading_of(const Plan& plan) {
  BytesPerSecond least;
  for (const DiskPlacement& placement : copied_disks(plan)) {
    const auto speed = reading_speed(placement.source_path, kDiskLimit);
    if (speed && speed->value > 0 && (least.value == 0 || *speed < least)) least = *speed;
  }
  return least;
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

}  // namespace

void Forecaster::begin(World& world, const MoveRequest& request) {
  if (!request.measure || request.kind == MoveKind::kStorage) return;
  {
    const std::lock_guard lock(mutex_);
    if (recall(guests_, request.vm, kGuestAge)) return;
  }
  // Most often it does not run.
  if (auto begun = world.hypervisor.measure_dirtying(request.vm, kGuestSpan); !begun)
    log::debug("No forecast of what {} changes: {}", request.vm, begun.error().text());
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
  add_places(world, plan, scene);
  if (plan.kind == MoveKind::kStorage) return scene;
  add_guest(world, plan, scene, notes);
  add_road(world, plan, scene, notes);
  return scene;
}

// Both ends of a storage move are here; of another the far one answers for itself.
void Forecaster::add_places(World& world, const Plan& plan, forecast::Scene& scene) {
  if (scene.disks.bytes == 0) return;
  scene.read = reading_of(plan);
  if (plan.kind != MoveKind::kStorage) return;
  scene.write = measure_here(world, "", {{}, folders_of(plan), 0}).write;
  scene.one_device = std::ranges::any_of(plan.placements, same_device);
}

void Forecaster::add_guest(World& world, const Plan& plan, forecast::Scene& scene,
                           std::vector<std::string>& notes) {
  if (plan.vm.state != VmState::kRunning && plan.vm.state != VmState::kPaused) return;
  const auto load = measured_load(world, plan.vm.uuid);
  if (load && load->memory_held.bytes > 0)
    scene.memory_used = std::min(scene.memory, load->memory_held);
  {
    const std::lock_guard lock(mutex_);
    if (load && load->dirty_rate) {
      remember(guests_, plan.vm.uuid, *load->dirty_rate);
      remember(guests_, plan.request.vm, *load->dirty_rate);
    }
    scene.dirty_rate = recall(guests_, plan.vm.uuid, kGuestAge);
  }
  if (!scene.executes) scene.dirty_rate = BytesPerSecond{};
  if (!scene.dirty_rate) {
    notes.push_back(
        fmt::format("libvirt could not measure how much memory {} changes: it is taken for little.",
                    plan.vm.name));
  }
}

// REQUIRES: begin(). Nothing: the hypervisor does not tell.
std::optional<GuestLoad> Forecaster::measured_load(World& world, const std::string& uuid) {
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    known = recall(guests_, uuid, kGuestAge).has_value();
  }
  for (const Deadline limit = Deadline::after(kGuestLimit);;) {
    auto load = world.hypervisor.guest_load(uuid);
    if (!load) return std::nullopt;
    const bool tells = load->memory_held.bytes > 0;
    if (known || load->dirty_rate || !tells || limit.expired()) return *load;
    std::this_thread::sleep_for(50ms);
  }
}

void Forecaster::add_road(World& world, const Plan& plan, forecast::Scene& scene,
                          std::vector<std::string>& notes) {
  const std::string key = road_key(plan);
  std::optional<BytesPerSecond> link;
  {
    const std::lock_guard lock(mutex_);
    link = recall(links_, key, kLinkAge);
  }
  if (!link) {
    link = measure_link(world, plan);
    const std::lock_guard lock(mutex_);
    if (link->value > 0) remember(links_, key, *link);
  }
  scene.link = *link;
  if (link->value == 0) {
    notes.push_back(fmt::format("The way to {} could not be measured: it is taken for 1 Gbit/s.",
                                plan.request.destination));
  }
  const MeasureRequest question{plan.vm.uuid, folders_of(plan), 0};
  const auto text = world.peers.call(plan.request.destination, verb::kMeasure, to_json(question),
                                     Deadline::after(kAskLimit));
  if (!text) return;
  const auto reply = measure_reply_from_json(*text);
  if (!reply) return;
  scene.write = reply->write;
  if (!plan.request.references || !scene.compress) return;
  const auto load = world.hypervisor.guest_load(plan.vm.uuid);
  add_held(*reply, load ? load->disks_written : ByteCount{}, scene);
}

std::optional<BytesPerSecond> Forecaster::recall(const Book& book, const std::string& what,
                                                 std::chrono::seconds age) {
  const auto found = book.find(what);
  if (found == book.end() || std::chrono::steady_clock::now() - found->second.at > age)
    return std::nullopt;
  return found->second.rate;
}

void Forecaster::remember(Book& book, const std::string& what, BytesPerSecond rate) {
  if (book.size() >= kBookMax) book.clear();
  book[what] = {rate, std::chrono::steady_clock::now()};
}

}  // namespace drover::move
