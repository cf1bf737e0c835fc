// SPDX-License-Identifier: Apache-2.0
// A quick move's guest: saved into a file by its hypervisor, and sent while that file still grows.
// The pause begins here.
#include <algorithm>
#include <utility>

#include <fcntl.h>

#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/image_fence.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kHeadLimit = 30s;  // libvirt writes it before anything else
constexpr auto kLastWritesLimit = 60s;

}  // namespace

// Written down before: from here on the guest stands still, and its memory may soon be in a file
// alone. What its disks have is the same on both sides then.
StepResult ColdMove::stand_still() {
  job_.save_called = true;
  if (auto saved = save(); !saved) {
    job_.save_called = false;
    return undo_because(saved.error());
  }
  stands_since_ = std::chrono::steady_clock::now();
  if (job_.move.plan.vm.state == VmState::kRunning) {
    if (auto still = world_.hypervisor.suspend(uuid()); !still) return undo_because(still.error());
  }
  for (DiskMirror& mirror : mirrors_) {
    if (auto ended = mirror.finish(kLastWritesLimit); !ended)
      return undo_because(mirror_lost(ended.error(), mirror.target()));
  }
  // Before its QEMU ends: it keeps what it has, and no other one gets to the images in between.
  auto fenced = fence_images(job_.move.plan);
  if (!fenced) return undo_because(fenced.error());
  fence_ = std::move(*fenced);
  return {};
}

// The call is not joined when droverd stops: it is libvirt's, and goes on.
void ColdMove::call_save() {
  save_ = std::make_shared<SaveOutcome>();
  const auto then = job_.move.plan.vm.state == VmState::kRunning ? Hypervisor::Then::kRuns
                                                                 : Hypervisor::Then::kPaused;
  std::thread([outcome = save_, &hypervisor = world_.hypervisor, uuid = uuid(), path = state_path(),
               then] {
    auto status = hypervisor.save(uuid, path, then);
    const std::lock_guard lock(outcome->mutex);
    if (!status) outcome->error = status.error();
    outcome->over = true;
  }).detach();
}

bool ColdMove::save_is_over() {
  const std::lock_guard lock(save_->mutex);
  return save_->over;
}

StepResult ColdMove::send_state() {
  std::uint64_t head = 0;
  if (auto begun = await_head(head); !begun) return begun;
  if (auto sent = send_state_part(ColdFile::Kind::kStateHead, {0, head}); !sent) return sent;
  if (auto sent = send_state_part(ColdFile::Kind::kState, {head, {}}); !sent) return sent;
  return save_ended();
}

// It grows until libvirt's call is over.
StepResult ColdMove::send_state_part(ColdFile::Kind kind, FileSender::Part part) {
  const auto all = files();
  const auto file = std::ranges::find(all, kind, &ColdFile::kind);
  UniqueFd opened(::open(state_path().c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened) return undo_because(fail_errno("Cannot open " + state_path()).error());
  return send_part(*file, std::move(opened), part, [this] { return save_is_over(); });
}

StepResult ColdMove::await_head(std::uint64_t& bytes) {
  const Deadline limit = Deadline::after(kHeadLimit);
  while (true) {
    const bool over = save_is_over();
    const auto begun = read_state_head(state_path());
    if (begun) {
      bytes = begun->size();
      return {};
    }
    if (begun.error().code == ErrorCode::kHypervisor) return undo_because(begun.error());
    if (over) {
      if (auto ended = save_ended(); !ended) return ended;
    }
    if (over || limit.expired())
      return undo_because({ErrorCode::kHypervisor,
                           Retry::kLater,
                           fmt::format("libvirt saves nothing of {}.", vm_name()),
                           {}});
    if (auto followed = follow_a_moment(); !followed) return followed;
  }
}

// From here a VM that is off, whose disks belong to the saved memory: what they are is written
// down, so that nobody restores that memory onto newer ones.
StepResult ColdMove::check_saved() {
  const auto now = world_.hypervisor.run_state(uuid());
  if (!now) return undo_because(now.error());
  if (now->kind != RunState::Kind::kOff) {
    return undo_because({ErrorCode::kConflict,
                         Retry::kLater,
                         fmt::format("{} was saved and is not off ({}).", vm_name(), now->reason),
                         {}});
  }
  if (auto nobody = fence_->check_no_writer(); !nobody) return undo_because(nobody.error());
  auto stamps = stamp_images(job_.move.plan);
  if (!stamps) return undo_because(stamps.error());
  job_.saved_images = std::move(*stamps);
  if (auto opened = open_tpm_state(); !opened) return undo_because(opened.error());
  if (auto saved = save(); !saved) return undo_because(saved.error());
  return {};
}

// Of libvirt's call, once it is over.
StepResult ColdMove::save_ended() {
  const std::lock_guard lock(save_->mutex);
  if (save_->error) {
    return undo_because(
        wrap(*save_->error, fmt::format("The memory of {} could not be saved.", vm_name())));
  }
  return {};
}

}  // namespace drover::move
