// SPDX-License-Identifier: Apache-2.0
#include "move/engine.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "move/residue/quarantine.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr int kMovesListed = 200;
constexpr auto kEventDelay = 60s;  // within which the hypervisor's events of a move have come
constexpr auto kHouseInterval = 2s;
constexpr int kExpireEvery = 30;      // rounds of keeping house
constexpr auto kChangesKept = 10min;  // no plan takes so long to be made

}  // namespace

Engine::Engine(World& world, DestinationSide& destination, MoveListener changed)
    : world_(world),
      destination_(destination),
      changed_(std::move(changed)),
      health_(world, [this](const Move& move) { changed_(MoveChange::kState, move); }) {}

Engine::~Engine() { stop(); }

Status Engine::recover() {
  RETURN_IF_ERROR(destination_.recover());
  ASSIGN_OR_RETURN(const auto jobs, world_.journal.open_jobs(journal::Side::kSource));
  for (const auto& text : jobs) {
    ASSIGN_OR_RETURN(SourceJob job, source_job_from_json(text));
    // Nothing was touched, or nothing is any more: it waits again.
    const bool waits = job.move.queue || (job.move.phase <= Phase::kAdmit && !job.reserved);
    if (job.move.state == MoveState::kRunning && waits) {
      enqueue(std::move(job));
      continue;
    }
    // A job that has ended and is still open has an undo that its destination did not hear of.
    if (job.move.state == MoveState::kRunning) {
      launch(std::move(job), &MoveWork::resume);
    } else {
      const std::lock_guard lock(mutex_);
      const std::string id = job.move.id;
      running_[id] = std::make_shared<Running>(
          Running{make_move_work(world_, std::move(job), listener()), std::jthread()});
    }
  }
  RETURN_IF_ERROR(find_parked());
  health_.recover();
  dispatcher_ = std::jthread([this](std::stop_token stop) { let_begin(std::move(stop)); });
  housekeeper_ = std::jthread([this](std::stop_token stop) { keep_house(std::move(stop)); });
  return {};
}

void Engine::stop() {
  health_.stop();
  dispatcher_.request_stop();
  if (dispatcher_.joinable()) dispatcher_.join();
  std::map<std::string, std::shared_ptr<Running>, std::less<>> running;
  {
    const std::lock_guard lock(mutex_);
    running.swap(running_);
    for (auto& [id, entry] : running) entry->thread.request_stop();
    housekeeper_.request_stop();
    woken_.notify_all();
  }
  if (housekeeper_.joinable()) housekeeper_.join();
  for (auto& [id, entry] : running) {
    if (entry->thread.joinable()) entry->thread.join();
  }
}

// A VM in a move has its UUID and its images at the destination already: its plan would name those
// as obstacles.
Status Engine::check_free(const Vm& vm) const {
  RETURN_IF_ERROR(check_unused(vm));
  return check_no_doubt(vm);
}

// But for what a parked move leaves in doubt.
Status Engine::check_unused(const Vm& vm) const {
  if (const std::string other = moving(vm.uuid); !other.empty()) {
    return fail(ErrorCode::kConflict, "{} is moving already (move {}). Watch it: drover watch {}.",
                vm.name, other, other);
  }
  if (const std::string job = busy_ ? busy_(vm.uuid) : std::string(); !job.empty()) {
    return fail(ErrorCode::kConflict,
                "{} is being exported or imported ({}). See it: drover archives.", vm.name, job);
  }
  {
    const std::lock_guard lock(mutex_);
    if (claimed_.contains(vm.uuid)) {
      return fail(ErrorCode::kConflict, "{} is just being changed. Try again in a moment.",
                  vm.name);
    }
  }
  for (const auto& incoming : destination_.incoming()) {
    if (incoming.vm_uuid == vm.uuid) {
      return fail(ErrorCode::kConflict, "{} is still arriving from {} (move {}).", vm.name,
                  incoming.peer, incoming.move_id);
    }
  }
  return {};
}

Status Engine::claim(const Vm& vm) {
  const std::lock_guard starting(starting_);
  RETURN_IF_ERROR(check_free(vm));
  const std::lock_guard lock(mutex_);
  claimed_.insert(vm.uuid);
  return {};
}

void Engine::end_claim(const std::string& uuid) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  claimed_.erase(uuid);
  std::erase_if(changed_at_, [&](const auto& item) { return now - item.second > kChangesKept; });
  changed_at_[uuid] = now;
}

Status Engine::while_free(const Vm& vm, const std::function<Status()>& change) {
  RETURN_IF_ERROR(claim(vm));
  const struct End {
    Engine& engine;
    const std::string& uuid;
    ~End() { engine.end_claim(uuid); }
  } end{*this, vm.uuid};
  return change();
}

// A plan that was made while somebody changed the VM may hold its former definition.
Status Engine::check_unchanged(const Vm& vm, std::chrono::steady_clock::time_point since) const {
  const std::lock_guard lock(mutex_);
  const auto found = changed_at_.find(vm.uuid);
  if (found == changed_at_.end() || found->second < since) return {};
  return fail(ErrorCode::kConflict, "{} was changed while its move was planned. Try again.",
              vm.name);
}

void Engine::launch(SourceJob job, void (MoveWork::*how)(std::stop_token)) {
  const std::string id = job.move.id;
  world_.slots.keep(way_of(job.move.plan.kind), id);
  auto entry = std::make_shared<Running>(
      Running{make_move_work(world_, std::move(job), listener()), std::jthread()});
  const std::lock_guard lock(mutex_);
  running_[id] = entry;
  entry->thread = std::jthread(
      [move = entry->move.get(), how](std::stop_token stop) { (move->*how)(std::move(stop)); });
}

std::vector<Move> Engine::moves() const {
  std::vector<Move> found;
  std::set<std::string> known;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : running_) {
      found.push_back(entry->move->snapshot());
      known.insert(id);
    }
  }
  const auto jobs = world_.journal.newest_jobs(journal::Side::kSource, kMovesListed);
  if (jobs) {
    for (const auto& text : *jobs) {
      auto job = source_job_from_json(text);
      if (job && !known.contains(job->move.id)) found.push_back(std::move(job->move));
    }
  }
  std::ranges::sort(found, std::ranges::greater{}, &Move::started_at);
  return found;
}

std::vector<Move> Engine::under_way() const {
  std::vector<Move> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : running_) {
    Move move = entry->move->snapshot();
    if (move.state == MoveState::kRunning && !move.queue) found.push_back(std::move(move));
  }
  return found;
}

Result<Move> Engine::move(std::string_view id) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = running_.find(id); it != running_.end())
      return it->second->move->snapshot();
  }
  ASSIGN_OR_RETURN(const auto text, world_.journal.job(journal::Side::kSource, id));
  ASSIGN_OR_RETURN(auto job, source_job_from_json(text));
  return std::move(job.move);
}

Result<Move> Engine::cancel(std::string_view id) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = running_.find(id); it != running_.end()) {
      Running& entry = *it->second;
      RETURN_IF_ERROR(entry.move->cancel());
      // One that waits ends by beginning: it sees at once what was asked for.
      if (!entry.thread.joinable()) {
        entry.thread = std::jthread(
            [move = entry.move.get()](std::stop_token stop) { move->run(std::move(stop)); });
      }
      return entry.move->snapshot();
    }
  }
  ASSIGN_OR_RETURN(const Move ended, move(id));
  return fail(ErrorCode::kConflict, "Move {} has ended already ({}).", id,
              move_state_name(ended.state));
}

Result<Move> Engine::converge(std::string_view id, const Convergence& policy) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = running_.find(id); it != running_.end()) {
      RETURN_IF_ERROR(it->second->move->converge(policy));
      return it->second->move->snapshot();
    }
  }
  ASSIGN_OR_RETURN(const Move ended, move(id));
  return fail(ErrorCode::kConflict, "Move {} has ended already ({}).", id,
              move_state_name(ended.state));
}

void Engine::take_vm_event(const VmEvent& event) {
  if (event.kind != VmEvent::Kind::kSuspended || !event.by_migration) return;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : running_) {
    if (entry->move->snapshot().plan.vm.uuid == event.uuid) entry->move->guest_stopped();
  }
}

std::string Engine::moving(std::string_view vm_uuid) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : running_) {
    const Move move = entry->move->snapshot();
    if (move.state == MoveState::kRunning && move.plan.vm.uuid == vm_uuid) return id;
  }
  return {};
}

bool Engine::concerns(std::string_view vm_uuid) const {
  if (destination_.concerns(vm_uuid)) return true;
  const auto recent = std::chrono::system_clock::now() - kEventDelay;
  return std::ranges::any_of(moves(), [&](const Move& move) {
    return move.plan.vm.uuid == vm_uuid && (!move.ended_at || *move.ended_at > recent);
  });
}

void Engine::keep_house(std::stop_token stop) {
  for (int round = 0; !stop.stop_requested(); ++round) {
    destination_.sweep();
    retry_undos();
    reap();
    measure();
    if (round % kExpireEvery == 0) {
      expire_quarantine(world_);
      world_.memories->expire(world_.book.settings());
    }
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, stop, kHouseInterval, [] { return false; });
  }
}

// Where a limit is `auto`. What is not known allows one move at a time.
void Engine::measure() {
  const HostSettings settings = world_.book.settings();
  if (!settings.live_moves.automatic && !settings.storage_moves.automatic) return;
  if (const auto load = read_host_load())
    world_.slots.measured(std::chrono::steady_clock::now(), *load);
}

// Ended moves whose destination has not heard of the undo.
void Engine::retry_undos() {
  std::vector<std::shared_ptr<Running>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : running_) {
      const MoveState state = entry->move->snapshot().state;
      const bool undone = state == MoveState::kFailed || state == MoveState::kCancelled ||
                          state == MoveState::kRehearsed;
      if (undone) ended.push_back(entry);
    }
  }
  for (const auto& entry : ended) {
    if (entry->thread.joinable()) entry->thread.join();  // it is at its last line
    if (!entry->move->undo_at_destination()) continue;
    const std::lock_guard lock(mutex_);
    running_.erase(entry->move->snapshot().id);
  }
}

void Engine::reap() {
  std::vector<std::shared_ptr<Running>> done;
  const std::lock_guard lock(mutex_);
  for (auto it = running_.begin(); it != running_.end();) {
    const Move move = it->second->move->snapshot();
    const bool over = move.state == MoveState::kDone || move.state == MoveState::kParked;
    if (move.state == MoveState::kParked) parked_[move.id] = move.plan.vm.uuid;
    if (over) done.push_back(std::move(it->second));
    it = over ? running_.erase(it) : std::next(it);
  }
}

}  // namespace drover::move
