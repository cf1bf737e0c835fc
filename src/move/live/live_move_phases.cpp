// SPDX-License-Identifier: Apache-2.0
// The phases of a live move, in their order. Phases do not call each other.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/fence_image.h"
#include "move/live/live_disks.h"
#include "move/live/live_move.h"
#include "move/plan/shared_disks.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kEventInterval = 20ms;  // how late the end of libvirt's call may be noticed
constexpr auto kForwardRetry = 2s;     // libvirt is asked again for ever
constexpr auto kUnwatchLimit = 60s;
constexpr auto kUnwatchAgain = 2s;
constexpr int kUnwatchTries = 5;

}  // namespace

StepResult LiveMove::prepare() {
  if (auto same = compare_files(); !same) return same;
  if (auto brought = bring_layers(); !brought) return brought;
  if (auto prepared = ask_to_prepare(verb::kPrepare, vm_name()); !prepared) return prepared;
  auto fence = open_source_files();
  if (!fence) return undo_because(fence.error());
  UniqueFd image;  // for QEMU, where no disk is copied
  if (auto made = add_fence_image(*fence, image); !made) return undo_because(made.error());
  job_.carriers_started = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto held = hold_fence(*fence, image); !held) {
    return undo_because(wrap(
        held.error(), fmt::format("The fence of {} cannot be raised.", job_.move.plan.vm.name)));
  }
  keep_bandwidth();
  RoadOptions road = road_options();
  road.keep = begin_memory(world_, job_.move);
  auto carriers = world_.carriage.start_source(carrier_name(), secret_, std::move(*fence), road);
  if (!carriers) return undo_because(carriers.error());
  carriers_ = std::move(*carriers);
  if (auto held = is_rehearsal() ? hold_for_the_rehearsal() : hold_for_the_window(); !held)
    return undo_because(held.error());

  if (auto linked = first_link(); !linked) return undo_because(linked.error());

  return clear_autostart();
}

// Opens each copied disk, remembers which file it is, and gives back what the fence needs.
Result<std::vector<gate::FencedDisk>> LiveMove::open_source_files() {
  std::vector<gate::FencedDisk> fence;
  job_.files.clear();
  for (const auto& placement : copied_disks(job_.move.plan)) {
    // libvirt's QEMUs see block devices by nodes of their own, on which no lock of ours is seen.
    // Such a disk stays what it is when the VM has left.
    if (!placement.source_pool.empty()) continue;
    UniqueFd fd(::open(placement.source_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(fmt::format("Cannot open {}", placement.source_path));
    ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(placement.source_path));
    job_.files.push_back(known_file(placement.target, placement.source_path, identity));
    fence.push_back({placement.target, std::move(fd)});
  }
  if (!job_.move.plan.vm.nvram_path.empty()) {
    ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(job_.move.plan.vm.nvram_path));
    job_.files.push_back(known_file("nvram", job_.move.plan.vm.nvram_path, identity));
  }
  return fence;
}

// A lock on a shared image would keep the destination out as well; on a block device it is not
// seen; and without any disk there is nothing to lock. Then the source's QEMU gets an image of its
// own to take back.
Status LiveMove::add_fence_image(std::vector<gate::FencedDisk>& fence, UniqueFd& for_qemu) {
  job_.fence_image = {};
  if (!fence.empty()) return {};
  ASSIGN_OR_RETURN(FenceImage made, make_fence_image());
  job_.fence_image = known_file("fence", "", made.identity);
  for_qemu = std::move(made.for_qemu);
  fence.push_back({job_.fence_image.target, std::move(made.for_lock)});
  return {};
}

// QEMU gets copies before libvirt's migration job begins: afterwards its monitor is closed to us.
Status LiveMove::hold_fence(const std::vector<gate::FencedDisk>& fence, const UniqueFd& image) {
  std::vector<int> numbers;
  std::vector<gate::FencedDisk> copies;
  for (const auto& disk : fence) {
    numbers.push_back(disk.image.get());
    copies.push_back({disk.target, disk.image.duplicate()});
  }
  fence_.emplace(std::move(copies));
  RETURN_IF_ERROR(world_.hypervisor.hold_descriptors(uuid(), numbers));
  if (!image) return {};
  return world_.hypervisor.hold_image(uuid(), image.get());
}

// libvirt's one call copies disks, then memory, then switches. It runs on a thread of its own, so
// that nothing here waits behind it; after a restart of droverd there is no such thread and the job
// itself is watched.
StepResult LiveMove::copy() {
  const bool resumed = job_.migrate_called;
  if (!meter_) {
    meter_.emplace(copies_disks(job_.move.plan), ProgressMeter::Clock::now(),
                   job_.move.progress.percent);
    passes_.emplace(job_.move.progress.passes);
    convergence_.emplace(job_.move.convergence, is_spared_by_plan(job_.move.plan));
    if (!resumed) downtime_told_ = ConvergenceWatch::kPauseUsual;
  }
  const bool watched = world_.book.settings().health_watch.count() > 0;
  if (watched && job_.move.plan.vm.state == VmState::kRunning)
    sampler_ = std::make_unique<BeforeSampler>(world_.hypervisor, uuid());
  if (resumed) return watch([this] { return job_is_over(); });

  if (auto unplugged = unplug_teamed(); !unplugged) return unplugged;
  if (!is_rehearsal()) {
    if (auto emptied = empty_drives(); !emptied) return emptied;
  }
  if (auto forgotten = forget_checkpoints(); !forgotten) return forgotten;
  const CarrierPaths paths = world_.carriage.paths(carrier_name());
  MigrateCall call;
  call.uuid = uuid();
  call.connection_uri = paths.connection_uri;
  call.memory_uri = paths.memory_uri;
  for (const auto& placement : copied_disks(job_.move.plan))
    call.copied_disks.push_back(placement.target);
  call.keep_chains = keeps_chains(job_.move.plan);
  call.shared_disks = shares_disks(job_.move.plan);
  if (!call.copied_disks.empty()) call.disks_uri = paths.disks_uri;
  call.parallel_connections = job_.move.plan.request.parallel_connections;
  call.destination_xml = job_.destination_xml;
  call.persistent_xml = job_.destination_persistent_xml;

  {
    const std::lock_guard lock(mutex_);
    take_policy();
    call.slow_guest = job_.move.convergence.policy == ConvergencePolicy::kSlowGuest;
    job_.move.may_slow_guest = call.slow_guest;
    slowing_settled_ = true;
  }
  job_.migrate_called = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  migrate_call_ = std::make_shared<MigrateOutcome>();
  // Not joined when droverd stops in between: the call belongs to libvirt and cannot be taken back
  // without ending the move. Then the process ends, and with it this thread (docs/threads.md).
  std::thread([outcome = migrate_call_, &hypervisor = world_.hypervisor, call] {
    auto status = hypervisor.migrate(call);
    const std::lock_guard lock(outcome->mutex);
    if (!status) outcome->error = status.error();
    outcome->over = true;
  }).detach();
  return watch([this] {
    const std::lock_guard lock(migrate_call_->mutex);
    if (migrate_call_->over) migrate_error_ = migrate_call_->error;
    return migrate_call_->over;
  });
}

// Follows the move until `ended`: progress to people, links kept up, doubts settled, a cancel
// passed on.
StepResult LiveMove::watch(const std::function<bool()>& ended) {
  bool abort_sent = false;
  while (!ended()) {
    if (stop_.stop_requested()) return leave();
    if ((cancel_asked_ || given_up_ || rehearsed_) && !abort_sent &&
        job_.move.phase < Phase::kSwitch) {
      release_disks();  // a mirror ends once what it has written was answered
      // Too early or too late is no error: it is tried again with the next sample.
      abort_sent = end_migration().has_value();
    }
    // Without a call of our own nobody knows what a droverd before us asked for.
    if (abort_sent || stood_still_ || !migrate_call_) push_cancel();
    if (auto none = keep_space()) given_up_ = std::move(none);
    keep_window();
    keep_rehearsal();
    while (auto event = carriers_->next_event(Deadline::after(kEventInterval))) take_event(*event);
    if (stands_still_.exchange(false)) {
      stood_still_ = true;
      // So little memory that all of it fits the sockets: the gate must let nothing pass any more.
      if (is_rehearsal()) (void)carriers_->stop();
      if (auto told = carriers_->standstill(); !told)
        log::warning("Move {}: {}", job_.move.id, told.error().text());
    }
    look_after_a_late_answer();
    if (in_doubt_) {
      if (auto settled = settle_doubt_at_the_gate(); !settled) return settled;
    }
    keep_policy();
    sample_progress();
    keep_links();
  }
  return {};
}

void LiveMove::take_event(const CarrierEvent& event) {
  using Kind = CarrierEvent::Kind;
  switch (event.kind) {
    case Kind::kSwitching:
      if (job_.move.phase < Phase::kCopyMemory) has_entered(Phase::kCopyMemory);
      break;
    case Kind::kFinishSeen:
      // The last good moment to count: the mover may end with the answer.
      wire_ = carriers_->wire_count().value_or(wire_);
      if (passes_) passes_->end(wire_, PassBook::Clock::now());
      if (!event.cancelled && job_.move.phase < Phase::kSwitch) has_entered(Phase::kSwitch);
      break;
    case Kind::kInDoubt:
      in_doubt_ = true;
      break;
    case Kind::kPolicyRefused:
      remember({ErrorCode::kPolicy, Retry::kLater, event.text, {}});
      break;
    case Kind::kGaveUp:
    case Kind::kLinkLost:
      take_road_event(event);
      break;
    case Kind::kEnded:
      gate_ended_ = true;
      break;
    // After the gate's last word both processes go, as they should.
    case Kind::kGateGone:
    case Kind::kMoverGone:
      if (gate_ended_ || carrier_error_ || road_cut_) break;
      carrier_error_ =
          Error{ErrorCode::kInternal,
                Retry::kLater,
                fmt::format("The {} on {} ended unexpectedly.",
                            event.kind == Kind::kGateGone ? "gate" : "mover", job_.move.source),
                {}};
      log::warning("Move {}: {}", job_.move.id, carrier_error_->message);
      break;
    case Kind::kOther:
      break;
  }
}

// Without libvirt's call to wait for: the job is over once libvirt has none, and the gate has
// nothing left to hand it. The gate first: its events came while no droverd was there, and
// libvirt's job waits for what we deliver when it is in doubt.
bool LiveMove::job_is_over() {
  const auto gate = carriers_->gate_state();
  if (gate && gate->in_doubt && !record_is_final()) in_doubt_ = true;
  if (gate && gate->finish_forwarded && job_.move.phase < Phase::kSwitch)
    has_entered(Phase::kSwitch);
  const auto state = world_.hypervisor.run_state(uuid());
  if (!state || state->kind == RunState::Kind::kMigratingOut) return false;
  if (!carriers_->gate_alive() || record_is_final()) return true;
  return gate && !gate->finish_forwarded;
}

std::string LiveMove::not_there(const std::string& why) const {
  return fmt::format(
      "{} was handed to {} and does not run there any more ({}). Its current disks are there. "
      "Do not start the copy on {}.",
      vm_name(), job_.move.destination, why, job_.move.source);
}

void LiveMove::add_to_report(const VerifyReply& reply, Move& move) {
  if (reply.pause.count() > 0) move.report->pause = reply.pause;
  move.report->bytes_on_wire += brought_.sent + brought_.received;
  move.report->passes = passes_ ? passes_->passes() : move.progress.passes;
  if (reply.checkpoints_lost.empty()) return;
  move.explanation = fmt::format(
      "{} runs on {}, but libvirt there does not take its checkpoints: {} Their images are there, "
      "and what libvirt knew is in the journal of {}.",
      move.plan.vm.name, move.destination, reply.checkpoints_lost, move.source);
}

// A libvirt that does not answer is waited for: it is restarted by its init, or by a person.
StepResult LiveMove::undefine_here() {
  while (true) {
    const auto gone = world_.hypervisor.undefine(uuid());
    if (gone) return {};
    if (gone.error().code != ErrorCode::kUnavailable) {
      // Of a conflict the error says what helps.
      const std::string fix = gone.error().code == ErrorCode::kConflict
                                  ? "."
                                  : "; remove it with: virsh undefine --keep-nvram " + uuid();
      return parked(
          gone.error(),
          fmt::format("{} runs on {}. Its definition on {} could not be removed: do not start it "
                      "there{}",
                      job_.move.plan.vm.name, job_.move.destination, job_.move.source, fix));
    }
    log::warning("Move {}: {} cannot settle yet: {}", job_.move.id, job_.move.source,
                 gone.error().text());
    if (!pause_for(kForwardRetry)) return leave();
  }
}

// The source lets go: its definition is in the journal, its disks go to quarantine, the destination
// gets the rest.
StepResult LiveMove::settle() {
  if (carriers_) (void)carriers_->stop();
  world_.carriage.remove_files(carrier_name());
  if (auto gone = undefine_here(); !gone) return gone;
  world_.memories->keep(job_.move);
  return let_go(
      fmt::format("{} runs on {}. Its former disks on {} could not be put aside: do not use them.",
                  job_.move.plan.vm.name, job_.move.destination, job_.move.source));
}

StepResult LiveMove::disks_differ(const std::string& difference) {
  if (save()) stop_the_watch();
  const Move& move = job_.move;
  return parked(
      Error{ErrorCode::kCorrupt, Retry::kNever, difference + ".", {}},
      fmt::format(
          "{0} runs on {1}, but what {1} has is not what {2} has: {3}. Nothing was "
          "released: {2} keeps its disks and the definition, and both hosts know that {0} "
          "may run on {1} only. Look at the file systems of {0} on {1}. If they are whole: "
          "drover resolve {4} --runs-on {1}, which finishes the move. If not, shut {0} down "
          "on {1} and copy the disks of {2} over the ones there before it is started again, "
          "then resolve it likewise.",
          move.plan.vm.name, move.destination, move.source, difference, move.id));
}

// The difference is in the journal; nothing more will be asked. What the destination watches in
// vain costs it little.
void LiveMove::stop_the_watch() {
  if (!is_read_back(job_.move.plan)) return;
  for (int tries = 0; tries < kUnwatchTries; ++tries) {
    const auto told =
        world_.peers.call(job_.move.destination, verb::kUnwatch, to_json(MoveName{job_.move.epoch}),
                          Deadline::after(kUnwatchLimit));
    const bool again = !told && (told.error().code == ErrorCode::kUnavailable ||
                                 told.error().code == ErrorCode::kTimeout);
    if (!again || !pause_for(kUnwatchAgain)) return;
  }
}

}  // namespace drover::move
