// SPDX-License-Identifier: Apache-2.0
#include "move/engine.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/random.h"
#include "move/plan/interface_choice.h"
#include "move/plan/stale_plan.h"
#include "move/residue/quarantine.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr int kMovesListed = 200;
constexpr auto kEventDelay = 60s;  // within which the hypervisor's events of a move have come
constexpr std::size_t kIdCharacters = 8;
constexpr std::size_t kQueueMax = 1000;
constexpr std::size_t kPlansMax = kQueueMax;  // as many as one command may ask for
constexpr auto kTurnWait = 20s;               // well within the time a client waits for an answer
constexpr auto kHouseInterval = 2s;
constexpr int kExpireEvery = 30;  // rounds of keeping house
constexpr auto kForecastFresh = 60s;
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

Result<Planned> Engine::plan_free(const MoveRequest& request) const {
  ASSIGN_OR_RETURN(const Vm vm, world_.hypervisor.find_vm(request.vm));
  RETURN_IF_ERROR(check_free(vm));
  auto planned = plan_move(world_, request);
  // Once more: one that began meanwhile has its images there by now.
  RETURN_IF_ERROR(check_free(vm));
  return planned;
}

Result<Plan> Engine::plan(const MoveRequest& request) {
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::system_clock::now();
  std::erase_if(plans_,
                [&](const auto& item) { return item.second.planned.plan.expires_at < now; });
  if (plans_.size() >= kPlansMax) {
    plans_.erase(std::ranges::min_element(
        plans_, {}, [](const auto& item) { return item.second.planned.plan.made_at; }));
  }
  Plan plan = planned.plan;
  plans_[plan.id] = {std::move(planned)};
  return plan;
}

Status Engine::check(const MoveRequest& request) const {
  MoveRequest asked = request;
  asked.measure = false;
  ASSIGN_OR_RETURN(const Planned planned, plan_free(asked));
  return check_acceptance(planned.plan);
}

Result<Plan> Engine::kept_plan(std::string_view id) const {
  ASSIGN_OR_RETURN(Planned planned, kept(id));
  return std::move(planned.plan);
}

Result<Planned> Engine::kept(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto it = plans_.find(id);
  if (it == plans_.end() || it->second.planned.plan.expires_at < std::chrono::system_clock::now()) {
    return fail(ErrorCode::kNotFound,
                "There is no plan {}, or it has expired. Make a new one: drover plan VM HOST.", id);
  }
  return it->second.planned;
}

Result<Move> Engine::start_planned(const PlanApproval& approval) {
  const auto id = place_planned(approval);
  end_asking(approval.plan_id);
  RETURN_IF_ERROR(id);
  wait_for_a_look();
  return move(*id);
}

Result<std::string> Engine::place_planned(const PlanApproval& approval) {
  ASSIGN_OR_RETURN(const Planned shown, kept(approval.plan_id));
  MoveRequest request = shown.plan.request;
  request.vm = shown.plan.vm.uuid;
  request.accept_notes = approval.accept_notes;
  request.accepted_codes = approval.accepted_codes;
  request.requested_by = approval.requested_by;
  // What was shown is what the move is held against.
  const bool fresh = std::chrono::system_clock::now() - shown.plan.made_at < kForecastFresh;
  request.measure = shown.plan.request.measure && !(fresh && shown.plan.forecast);
  const auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  RETURN_IF_ERROR(check_not_stale(shown, planned));
  RETURN_IF_ERROR(check_acceptance(planned.plan));
  planned.plan.request.measure = shown.plan.request.measure;
  if (fresh && shown.plan.forecast) planned.plan.forecast = shown.plan.forecast;
  wait_behind(approval.after);
  return place(std::move(planned), since);
}

// Until it has been asked for to the end, is not kept any more, or takes long: whoever stands
// behind a request that never comes is not to wait for ever.
void Engine::wait_behind(std::string_view plan_id) {
  if (plan_id.empty()) return;
  std::unique_lock lock(mutex_);
  woken_.wait_for(lock, housekeeper_.get_stop_token(), kTurnWait, [&] {
    const auto it = plans_.find(plan_id);
    return it == plans_.end() || it->second.asked_for;
  });
}

void Engine::end_asking(std::string_view plan_id) {
  const std::lock_guard lock(mutex_);
  if (const auto it = plans_.find(plan_id); it != plans_.end()) it->second.asked_for = true;
  woken_.notify_all();
}

Result<Move> Engine::start(const MoveRequest& request) {
  const auto since = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(Planned planned, plan_free(request));
  RETURN_IF_ERROR(check_acceptance(planned.plan));
  ASSIGN_OR_RETURN(const std::string id, place(std::move(planned), since));
  wait_for_a_look();
  return move(id);
}

Result<std::string> Engine::place(Planned planned, std::chrono::steady_clock::time_point since) {
  reap();
  SourceJob job;
  job.move.id = random_name(kIdCharacters);
  job.move.epoch = job.move.id;
  job.move.plan = std::move(planned.plan);
  job.persistent_xml = std::move(planned.persistent_xml);
  job.destination_xml = std::move(planned.destination_xml);
  job.destination_persistent_xml = std::move(planned.destination_persistent_xml);
  job.layers = std::move(planned.layers);
  job.checkpoints = std::move(planned.checkpoints);
  job.destination_checkpoints = std::move(planned.destination_checkpoints);
  job.autostart = job.move.plan.vm.autostart;
  job.move.convergence =
      job.move.plan.request.convergence.value_or(world_.book.settings().convergence);
  job.move.source = world_.host_name;
  job.move.destination = job.move.plan.request.destination;
  job.move.started_at = std::chrono::system_clock::now();
  const int priority = job.move.plan.request.priority;
  RETURN_IF_ERROR(check_priority(priority));
  RETURN_IF_ERROR(check_begin(job.move.plan.request, job.move.started_at));
  RETURN_IF_ERROR(check_retries(job.move.plan.request.retries.value_or(0)));
  job.move.queue = QueuePlace{priority, false, 0, "", job.move.started_at, {}, {}};
  const Move first = job.move;
  // Checked again: two requests may have been planned side by side.
  {
    const std::lock_guard starting(starting_);
    RETURN_IF_ERROR(check_free(first.plan.vm));
    RETURN_IF_ERROR(check_unchanged(first.plan.vm, since));
    if (waiting().size() >= kQueueMax) {
      return fail(ErrorCode::kConflict,
                  "{} moves wait already. Try again when some have begun: drover queue list.",
                  kQueueMax);
    }
    if (auto kept = remember_interfaces(world_, first.plan.request); !kept)
      log::warning("Move {}: {}", first.id, kept.error().text());
    RETURN_IF_ERROR(world_.journal.save(journal::Side::kSource, first.id, journal::JobState::kOpen,
                                        to_json(job)));
    log::info("Move {}: {} to {} ({}), asked by {}.", first.id, first.plan.vm.name,
              first.destination, move_kind_name(first.plan.kind), first.plan.request.requested_by);
    enqueue(std::move(job));
  }
  return first.id;
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
