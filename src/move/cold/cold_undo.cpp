// SPDX-License-Identifier: Apache-2.0
// The way back of an offline or quick move, after which the VM is here as before and nothing is
// left at the destination. Every part may run twice. REQUIRES: the destination never had the VM and
// never will by this move: it was not asked to take it, or proved it.
#include <algorithm>
#include <filesystem>

#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/image_fence.h"
#include "move/plan/network_disks.h"
#include "move/retry.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 200ms;
constexpr int kQuietLooks = 3;   // without a job of libvirt's, until none can begin any more
constexpr auto kTellAfter = 5s;  // what takes less is no news
constexpr auto kSettles = 60s;   // of a libvirt that answers

}  // namespace

StepResult ColdMove::undo() {
  log::info("Move {} of {}: undone.", job_.move.id, vm_name());
  release_disks();  // or mirrors would wait for what is held
  end_space_watch();
  if (auto ended = end_save(); !ended) return ended;
  (void)try_to_end_mirrors();  // again below: one that waits for the mover ends with it
  end_road();
  if (job_.undefined) {
    const StepResult defined = define_again();
    if (!defined && defined.error().then == AfterFailure::kPark) undo_at_destination();
    if (!defined) return defined;
  }
  fence_.reset();  // the last copy: the locks go with it
  const StepResult taken_back = take_back_the_guest();
  if (!taken_back && taken_back.error().then == AfterFailure::kLeave) return taken_back;
  if (auto ended = end_all_mirrors(); !ended) return ended;
  // What is parked is off, or not known to go on: end() tells what it lacks.
  if (taken_back && (!fill_drives() || !plug_teamed())) return leave();
  // After the guest goes on: a libvirt that says no is asked for a while.
  if (!know_checkpoints()) return leave();
  restore_autostart();
  undo_at_destination();
  return taken_back;
}

// What a person is told of a wait that lasts; what stood there before comes back with
// wait_is_over().
void ColdMove::tell_wait(const std::string& what) {
  const auto now = std::chrono::steady_clock::now();
  if (!waits_since_) waits_since_ = now;
  if (now - *waits_since_ < kTellAfter) return;
  const Move shown = snapshot();
  if (!before_wait_) before_wait_ = shown.explanation;
  if (shown.explanation == what) return;
  log::warning("Move {}: {}", job_.move.id, what);
  change([&](Move& move) { move.explanation = what; });
}

void ColdMove::wait_is_over() {
  waits_since_.reset();
  if (!before_wait_) return;
  change([&](Move& move) { move.explanation = *before_wait_; });
  before_wait_.reset();
}

StepResult ColdMove::leave_waiting() {
  wait_is_over();
  return leave();
}

std::string ColdMove::waits_for_libvirt(const Error& cause) const {
  return fmt::format(
      "libvirt on {1} does not answer ({2}), and {0} cannot be given back before it does: {3} The "
      "move goes on by itself then. Fix: on {1}, systemctl status libvirtd.",
      vm_name(), job_.move.source, cause.text(), where_it_is());
}

// While it is not as it was before.
std::string ColdMove::where_it_is() const {
  std::string text = job_.undefined ? "its definition is in the journal of droverd." : "";
  if (quick() && job_.save_called)
    text += fmt::format("{}its memory may be in {}.", text.empty() ? "" : " ", state_path());
  return text.empty() ? "its disks lie where they lay." : text;
}

// One who cannot define it gets the definition as a file: libvirt has none.
StepResult ColdMove::define_again() {
  while (true) {
    const auto state = world_.hypervisor.run_state(uuid());
    Status defined;
    if (state) {
      if (auto back = give_saved_back(*state); !back) return back;
    }
    if (!state)
      defined = std::unexpected(state.error());
    else if (state->kind == RunState::Kind::kAbsent)
      defined = world_.hypervisor.define(job_.persistent_xml);
    if (defined) break;
    if (!is_unanswered(defined.error())) {
      const std::string path = state_path() + ".xml";
      const auto written = write_file_durably(path, job_.persistent_xml, 0600);
      const std::string where =
          written ? fmt::format("Its definition is in {0}: virsh define {0}", path)
                  : "Its definition is in the journal of droverd there";
      return parked(
          defined.error(),
          fmt::format("{0} is on {1}, and libvirt there does not take its definition back. "
                      "Its disks lie where they lay. {2}{3}.",
                      vm_name(), job_.move.source, where,
                      job_.save_called ? ", then virsh restore " + state_path() : ""));
    }
    tell_wait(waits_for_libvirt(defined.error()));
    if (!pause_for(kLook)) return leave_waiting();
  }
  wait_is_over();
  return {};
}

// libvirt's call may still be at work, also one that a droverd before us made: what it writes is
// not touched before it has ended. One that was just asked for may begin a moment later.
StepResult ColdMove::end_save() {
  if (!job_.save_called || job_.restore_called) return {};
  const bool never_asked = !save_ && stands_since_.time_since_epoch().count() != 0;
  if (never_asked) return {};
  for (int quiet = 0; quiet < kQuietLooks;) {
    const auto state = world_.hypervisor.run_state(uuid());
    const bool over = !save_ || save_is_over();
    const bool works = !state || state->kind == RunState::Kind::kMigratingOut;
    if (state) note_if_started(*state);
    if (over && !works) {
      ++quiet;
    } else {
      quiet = 0;
      (void)world_.hypervisor.abort_job(uuid());  // too late is no error
      tell_wait(state ? fmt::format("libvirt on {} does not end its save of {}. Fix: virsh "
                                    "domjobabort {}.",
                                    job_.move.source, vm_name(), vm_name())
                      : waits_for_libvirt(state.error()));
    }
    if (!pause_for(kLook)) return leave_waiting();
  }
  wait_is_over();
  return {};
}

// As it was before: it runs, or was shut off by itself. From its saved memory, once: a guest that
// may have run since must not be restored a second time, for its disks are newer.
StepResult ColdMove::take_back_the_guest() {
  if (!job_.save_called) return {};
  Deadline settles = Deadline::after(kSettles);
  for (std::optional<Error> last;;) {
    const auto state = world_.hypervisor.run_state(uuid());
    if (!state) {
      settles = Deadline::after(kSettles);
      tell_wait(waits_for_libvirt(state.error()));
    } else {
      const auto back = take_back_from(*state, last);
      if (!back) return std::unexpected(back.error());
      if (*back) break;
      if (settles.expired()) return park_not_back(*state, last);
    }
    if (!pause_for(kLook)) return leave_waiting();
  }
  wait_is_over();
  remove_state();
  return {};
}

// False: not yet; `last` has what libvirt said.
std::expected<bool, StepFailure> ColdMove::take_back_from(const RunState& state,
                                                          std::optional<Error>& last) {
  const auto keep = [&](const Status& said) {
    if (!said) last = said.error();
  };
  switch (state.kind) {
    case RunState::Kind::kRunning:
      return true;
    case RunState::Kind::kPaused:
      if (job_.move.plan.vm.state == VmState::kPaused) return true;
      // It was made to stand still by us, or by libvirt's save.
      keep(world_.hypervisor.resume(uuid()));
      return false;
    case RunState::Kind::kAbsent:
      keep(world_.hypervisor.define(job_.persistent_xml));
      return false;
    case RunState::Kind::kIncoming:
    case RunState::Kind::kMigratingOut:
      return false;  // libvirt is still at work
    case RunState::Kind::kOff:
      break;
  }
  const auto whole = is_whole_state(state_path());
  if (!whole) return std::unexpected(park_saved(whole.error()).error());
  if (!*whole) return true;  // it was shut off by itself before it was saved
  if (auto restored = restore_here(); !restored) {
    // An answer that was lost says nothing: the next look does.
    if (restored.error().then == AfterFailure::kPark || !is_unanswered(restored.error().error))
      return std::unexpected(restored.error());
    last = restored.error().error;
    return false;
  }
  return true;
}

// kUndo: libvirt did not answer.
StepResult ColdMove::restore_here() {
  if (job_.restore_called) {
    return park_saved({ErrorCode::kInDoubt,
                       Retry::kNever,
                       fmt::format("{} was being restored when the answer was lost.", vm_name()),
                       {}});
  }
  const auto written = job_.saved_images.empty() ? first_written_after(job_.move.plan, state_path())
                                                 : first_written(job_.saved_images);
  if (!written) return park_saved(written.error());
  if (*written) return park_written(**written);
  if (const auto unseen = written_unseen(); !unseen.empty()) return park_unseen(unseen);
  job_.restore_called = true;
  if (auto saved = save(); !saved) return park_saved(saved.error());
  if (auto restored = world_.hypervisor.restore(state_path(), ""); !restored) {
    if (is_unanswered(restored.error())) return undo_because(restored.error());
    return park_saved(restored.error());
  }
  log::info("Move {}: {} was restored on {}.", job_.move.id, vm_name(), job_.move.source);
  announce_guest(world_.hypervisor, uuid());
  return {};
}

// Its memory is saved, and it runs: somebody started it from its disks.
void ColdMove::note_if_started(const RunState& state) {
  if (state.kind != RunState::Kind::kRunning || started_since_) return;
  started_since_ = is_whole_state(state_path()).value_or(false);
}

// Why the disks may be newer than the saved memory although no image shows it; empty: they are not.
// A network disk knows no locks and no time of the last write: only a droverd that was there from
// the save on knows that nobody started the VM.
std::string ColdMove::written_unseen() const {
  if (started_since_) return "It was started since.";
  const auto& placements = job_.move.plan.placements;
  const auto network = std::ranges::find_if(placements, is_network);
  if (save_ || network == placements.end()) return {};
  return fmt::format(
      "droverd was away meanwhile, and of {} ({}) nobody can see whether it was written.",
      network->target, network->source_path);
}

StepResult ColdMove::park_saved(Error error) {
  return parked(std::move(error),
                fmt::format("{0} is off on {1}. Its memory is in {2}. If it has not run since: "
                            "virsh restore {2}.",
                            vm_name(), job_.move.source, state_path()));
}

StepResult ColdMove::park_written(const std::string& image) {
  return parked(
      Error{ErrorCode::kInDoubt,
            Retry::kNever,
            fmt::format("{} was written after {} was saved.", image, vm_name()),
            {}},
      fmt::format("{0} is off on {1}, and {3} was written after its memory was saved into {2}: it "
                  "may have run since, and its memory would damage the disk. Look who wrote it. If "
                  "it has run: virsh start {0}, and remove {2}. Only if nothing on the disk has "
                  "changed: virsh restore {2}.",
                  vm_name(), job_.move.source, state_path(), image));
}

StepResult ColdMove::park_unseen(const std::string& why) {
  return parked(
      Error{ErrorCode::kInDoubt,
            Retry::kNever,
            fmt::format("{} may have run since it was saved.", vm_name()),
            {}},
      fmt::format(
          "{0} is off on {1}, its memory is in {2}. {3} Onto newer disks its memory would "
          "damage them. If it has run: virsh start {0}, and remove {2}. Only if it has not, "
          "and nothing else wrote its disks: virsh restore {2}.",
          vm_name(), job_.move.source, state_path(), why));
}

// libvirt answers, but the VM does not become what it was.
StepResult ColdMove::park_not_back(const RunState& state, const std::optional<Error>& last) {
  return parked(
      last.value_or(Error{ErrorCode::kHypervisor,
                          Retry::kNever,
                          fmt::format("{} is {} on {}.", vm_name(), state.reason, job_.move.source),
                          {}}),
      fmt::format(
          "{0} is on {1}, but not as before ({2}). Its memory may be in {3}, which is kept. "
          "If it stands still: virsh resume {0}. If it is off, and has not run since: virsh "
          "restore {3}.",
          vm_name(), job_.move.source, state.reason, state_path()));
}

void ColdMove::remove_state() {
  if (quick()) ::unlink(state_path().c_str());
}

}  // namespace drover::move
