// SPDX-License-Identifier: Apache-2.0
#include "move/plan/forecaster.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <thread>

#include <fmt/ranges.h>
#include <sys/stat.h>

#include "base/deadline.h"
#include "base/log.h"
#include "forecast/predict.h"
#include "forecast/recall.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_speed.h"
#include "move/cold/cold_files.h"
#include "move/job.h"
#include "move/peer_messages.h"
#include "move/plan/measure.h"
#include "move/plan/shared_disks.h"
#include "move/world.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuestSpan = 1s;   // libvirt measures whole seconds
constexpr auto kGuestLimit = 2s;  // from its beginning, which was before the checks
constexpr auto kAgainSpan = 3s;
constexpr auto kAgainLimit = 5s;
constexpr auto kOneMeasurement = 2s;  // by which what began it, and libvirt's own time, may differ
constexpr double kNear = 0.25;        // of what the link carries: then it depends on the guest
// Of what three seconds change at an even pace, three times what one does: less is the same pages.
constexpr double kSamePages = 1.7;
constexpr auto kGuestFresh = 10s;  // then it is not measured anew
constexpr auto kGuestKept = 10min;
constexpr auto kDiskKept = 10min;  // in a hurry; a disk is as busy as what uses it
constexpr auto kLinkAge = 10s;
constexpr auto kDiskAge = 30s;
constexpr std::size_t kGuestsMax = 256;
constexpr auto kDiskLimit = 150ms;       // of each
constexpr auto kReadLimit = 400ms;       // of all; then what is known has to do
constexpr double kFromDiskLeast = 0.05;  // of an image that lies in the kernel's cache
constexpr auto kAskLimit = 5s;
constexpr int kMovesLooked = 100;
// Of memory that a host has kept, what is still the same, but for what the guest changed since:
// the kernel's own pages come and go.
constexpr double kMemorySame = 0.9;

std::vector<std::string> folders_of(const Plan& plan) {
  std::set<std::string> folders;
  for (const DiskPlacement& placement : copied_disks(plan)) {
    if (!placement.destination_pool.empty()) continue;
    folders.insert(std::filesystem::path(placement.destination_path).parent_path().string());
  }
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

// As fast as it comes, with what the kernel's cache holds; 0: nobody can say.
BytesPerSecond image_rate(const std::string& path) {
  const auto speed = reading_speed(path, kDiskLimit);
  if (!speed) return {};
  const double from_disk = std::max(1 - cached_share(path), kFromDiskLeast);
  return {static_cast<std::uint64_t>(static_cast<double>(speed->value) / from_disk)};
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
  const auto changed =
      static_cast<double>(scene.dirty_rate.value_or(forecast::kUsualDirtying).value);
  const double age = static_cast<double>(reply.age.count());
  scene.spared_memory = {
      static_cast<std::uint64_t>(held * kMemorySame * std::exp(-changed * age / held))};
}

// Whether its memory can be copied at all depends on what it changes.
bool depends_on_guest(const forecast::Scene& scene) {
  return scene.kind == MoveKind::kLive && scene.dirty_rate &&
         static_cast<double>(scene.dirty_rate->value) > kNear * forecast::usual_rate(scene);
}

std::string road_key(const Plan& plan) {
  std::string key = plan.request.destination;
  for (const NetworkPair& pair : plan.networks) key += " " + pair.destination_address;
  return key;
}

// How fast disks are where they land.
std::string write_key(const Plan& plan) {
  return fmt::format("write {} {}", plan.request.destination, fmt::join(folders_of(plan), " "));
}

// The checks have found something of the VM there, from a move before.
bool is_held_there(const Plan& plan) {
  return std::ranges::any_of(plan.findings, [](const Finding& finding) {
    return finding.code == preflight::code_name(preflight::Code::kResidueUsed);
  });
}

// Without folders it measures nothing there.
std::optional<MeasureReply> ask_there(World& world, const Plan& plan,
                                      std::vector<std::string> folders) {
  const MeasureRequest question{plan.vm.uuid, std::move(folders), 0};
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
  if (request.hurry || (load->dirty_rate && load->dirty_age <= kGuestFresh)) return;
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
  const std::vector<Move> moves = moves_before(world);
  Draft draft = draft_of(world, plan, moves);
  Forecast made =
      forecast::make_forecast(draft.scene, plan.request.destination, plan.vm.uuid, moves);
  made.notes = std::move(draft.notes);
  if (plan.request.window)
    made.notes.emplace_back("The time that memory waits for its window is not counted.");
  return made;
}

Forecaster::Draft Forecaster::draft_of(World& world, const Plan& plan,
                                       const std::vector<Move>& moves) {
  const HostSettings settings = world.book.settings();
  Draft draft;
  forecast::Scene& scene = draft.scene;
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
  if (carries_saved_memory(plan))
    scene.memory = scene.memory_used = saved_memory(plan, world.hypervisor);
  if (!plan.request.measure) {
    draft.notes.emplace_back("Neither the guest nor the link was measured for it, as was asked.");
  } else if (plan.kind == MoveKind::kStorage) {
    add_storage(world, plan, draft);
  } else {
    add_move(world, plan, moves, draft);
  }
  return draft;
}

// Both ends are here, and may be one device.
void Forecaster::add_storage(World& world, const Plan& plan, Draft& draft) {
  forecast::Scene& scene = draft.scene;
  if (scene.disks.bytes == 0) return;
  scene.read = read_rate(plan);
  scene.one_device = std::ranges::any_of(plan.placements, same_device);
  if (plan.request.hurry) {
    scene.write = disk_kept(write_key(plan));
    return;
  }
  scene.write = measure_here(world, "", {{}, folders_of(plan), 0}).write;
  disks_.keep(write_key(plan), scene.write);
}

void Forecaster::add_move(World& world, const Plan& plan, const std::vector<Move>& moves,
                          Draft& draft) {
  const auto held =
      plan.request.hurry ? recall(world, plan, moves, draft) : measure(world, plan, draft);
  add_guest(world, plan, moves, draft);
  if (!held || !plan.request.references || !draft.scene.compress) return;
  const auto load = world.hypervisor.guest_load(plan.vm.uuid);
  add_held(*held, load ? load->disks_written : ByteCount{}, draft.scene);
}

// All at once: disks and the way have little to do with each other.
std::optional<MeasureReply> Forecaster::measure(World& world, const Plan& plan, Draft& draft) {
  forecast::Scene& scene = draft.scene;
  std::optional<MeasureReply> reply;
  {
    const std::jthread there([&] { reply = ask_there(world, plan, folders_of(plan)); });
    const std::jthread way([&] { add_link(world, plan, draft); });
    if (scene.disks.bytes > 0) scene.read = read_rate(plan);
  }
  if (reply) {
    scene.write = reply->write;
    disks_.keep(write_key(plan), reply->write);
  }
  return reply;
}

void Forecaster::add_link(World& world, const Plan& plan, Draft& draft) {
  draft.scene.link = links_.get(road_key(plan), [&] { return measure_link(world, plan); });
  if (draft.scene.link.value > 0) return;
  draft.notes.push_back(fmt::format(
      "The way to {} could not be measured: it is taken for 1 Gbit/s.", plan.request.destination));
}

// What was measured for plans before, and for the journal's moves. The destination is asked only
// what it still has, and only if it has something: that it need not measure. A way that nobody has
// measured for a day is measured, for the mover is to know how fast it is.
std::optional<MeasureReply> Forecaster::recall(World& world, const Plan& plan,
                                               const std::vector<Move>& moves, Draft& draft) {
  forecast::Scene& scene = draft.scene;
  auto link = links_.known(road_key(plan));
  if (!link || link->age > forecast::kRecalled)
    link = forecast::recall_link(plan, moves, std::chrono::system_clock::now());
  if (link) {
    scene.link = link->rate;
    scene.link_age = link->age;
  } else {
    add_link(world, plan, draft);
  }
  if (scene.disks.bytes > 0) {
    scene.read = read_rate(plan);
    scene.write = disk_kept(write_key(plan));
  }
  return is_held_there(plan) ? ask_there(world, plan, {}) : std::nullopt;
}

// 0: not known.
BytesPerSecond Forecaster::disk_kept(const std::string& what) {
  const auto kept = disks_.known(what);
  return kept && kept->age <= kDiskKept ? kept->rate : BytesPerSecond{};
}

// The slowest of its disks; 0: none can say.
BytesPerSecond Forecaster::read_rate(const Plan& plan) {
  BytesPerSecond least;
  const Deadline limit = Deadline::after(kReadLimit);
  for (const DiskPlacement& placement : copied_disks(plan)) {
    if (limit.expired()) break;
    const std::string what = "read " + placement.source_path;
    const BytesPerSecond speed =
        plan.request.hurry ? disk_kept(what)
                           : disks_.get(what, [&] { return image_rate(placement.source_path); });
    if (speed.value > 0 && (least.value == 0 || speed < least)) least = speed;
  }
  return least;
}

void Forecaster::add_guest(World& world, const Plan& plan, const std::vector<Move>& moves,
                           Draft& draft) {
  if (plan.vm.state != VmState::kRunning && plan.vm.state != VmState::kPaused) return;
  forecast::Scene& scene = draft.scene;
  const auto load = load_of(world, plan);
  if (load && load->memory_held.bytes > 0)
    scene.memory_used = std::min(scene.memory, load->memory_held);
  if (load) remember(plan.request.vm, *load);
  if (!scene.executes) {
    scene.dirty_rate = BytesPerSecond{};
    return;
  }
  if (auto dirtying = dirtying_known(plan, moves)) {
    scene.dirty_rate = dirtying->rate;
    if (depends_on_guest(scene)) {
      look_again(world, plan);
      if (const auto again = dirtying_known(plan, moves)) dirtying = again;
      scene.dirty_rate = dirtying->rate;
    }
    scene.dirty_set = known(plan.request.vm).set;
    scene.dirty_age = dirtying->age;
    return;
  }
  draft.notes.push_back(
      plan.request.hurry
          ? fmt::format("How much memory {} changes is not known, and was not waited for, as "
                        "nobody reads this plan: whether it can be copied as wanted is a guess. "
                        "drover plan measures it.",
                        plan.vm.name)
          : fmt::format("libvirt could not measure how much memory {} changes: whether it can be "
                        "copied as wanted is a guess.",
                        plan.vm.name));
}

// Who reads the plan is not told of a guest as it was long ago.
std::optional<AgedRate> Forecaster::dirtying_known(const Plan& plan,
                                                   const std::vector<Move>& moves) {
  const Guest guest = known(plan.request.vm);
  const auto age =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - guest.measured_at);
  const bool hurry = plan.request.hurry;
  if (guest.rate && age <= (hurry ? forecast::kRecalled : kGuestKept))
    return AgedRate{*guest.rate, age};
  if (!hurry) return std::nullopt;
  return forecast::recall_dirtying(plan.vm.uuid, moves, std::chrono::system_clock::now());
}

// In a second few of QEMU's samples change, and nobody sees whether they are the same ones each
// time: a longer look tells of both.
void Forecaster::look_again(World& world, const Plan& plan) {
  const Guest first = known(plan.request.vm);
  if (plan.request.hurry || !first.rate || is_of_both(first, first.measured_at)) return;
  {
    const std::lock_guard lock(mutex_);
    guest_of(plan.request.vm).again_at = Clock::now();
  }
  if (!world.hypervisor.measure_dirtying(plan.vm.uuid, kAgainSpan)) return;
  const Deadline limit = Deadline::after(kAgainLimit);
  auto load = world.hypervisor.guest_load(plan.vm.uuid);
  for (; load && !load->dirty_rate && !limit.expired();
       load = world.hypervisor.guest_load(plan.vm.uuid)) {
    std::this_thread::sleep_for(50ms);
  }
  if (!load || !load->dirty_rate) return;
  const std::uint64_t once = first.rate->value;
  const std::uint64_t longer = load->dirty_rate->value * kAgainSpan.count();
  const bool same = static_cast<double>(longer) < kSamePages * static_cast<double>(once);
  const std::lock_guard lock(mutex_);
  Guest& guest = guest_of(plan.request.vm);
  guest.measured_at = Clock::now() - load->dirty_age;
  guest.set = {same ? std::max(once, longer) : 0};
  guest.rate = BytesPerSecond{
      same ? once
           : (once + longer) / static_cast<std::uint64_t>((kGuestSpan + kAgainSpan).count())};
}

// Waits for the measurement that begin() began, but not in a hurry. Nothing: the hypervisor does
// not tell.
std::optional<GuestLoad> Forecaster::load_of(World& world, const Plan& plan) {
  const auto until = known(plan.request.vm).asked_at + kGuestLimit;
  const bool waits = plan.vm.state == VmState::kRunning && !plan.request.hurry;
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
  if (load.measuring) return;  // what is known of it stands until the new figure is there
  if (!load.dirty_rate) {
    // A QEMU that was asked for nothing and tells nothing is not the one that told us.
    const auto found = guests_.find(vm);
    if (found != guests_.end() && Clock::now() - found->second.asked_at > kGuestLimit)
      found->second.rate.reset();
    return;
  }
  Guest& guest = guest_of(vm);
  const auto measured_at = Clock::now() - load.dirty_age;
  if (is_of_both(guest, measured_at)) return;
  guest.rate = load.dirty_rate;
  guest.set = {};
  guest.measured_at = measured_at;
}

bool Forecaster::is_of_both(const Guest& guest, Clock::time_point measured_at) {
  return std::chrono::abs(measured_at - guest.again_at) <= kOneMeasurement;
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
