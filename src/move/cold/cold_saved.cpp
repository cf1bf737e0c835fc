// SPDX-License-Identifier: Apache-2.0
// An offline move of a VM whose memory is kept: it travels beside the disks, as it is. At the
// source its file is put aside before libvirt forgets the VM (which would refuse, or remove it), by
// the name that it has in quarantine, and given back before libvirt is told of the VM again: never
// is there a VM that boots from disks whose memory lies beside it.
#include <algorithm>

#include <fcntl.h>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/saved_memory.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/image_fence.h"
#include "move/plan/network_disks.h"
#include "move/regular_file.h"

namespace drover::move {
namespace {

bool is_at(const std::string& path, const FileIdentity& identity) {
  const auto found = file_identity(path);
  return found && *found == identity;
}

}  // namespace

std::string ColdMove::saved_path() const { return saved_memory_file(world_.hypervisor, vm_name()); }

std::string ColdMove::saved_aside_path() const {
  return quarantine_path(saved_path(), job_.move.id);
}

const KnownFile* ColdMove::saved_file() const {
  const auto found = std::ranges::find(job_.files, kItemSaved, &KnownFile::target);
  return found == job_.files.end() ? nullptr : &*found;
}

// What it is now is what is sent, and in the end put aside.
Status ColdMove::open_saved() {
  if (!carries_saved_memory(job_.move.plan)) return {};
  const std::string path = saved_path();
  ASSIGN_OR_RETURN(const bool whole, is_whole_state(path));
  if (!whole) {
    return fail(ErrorCode::kConflict, "The saved memory of {} is gone, or was never finished: {}.",
                vm_name(), path);
  }
  ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(path));
  ASSIGN_OR_RETURN(ImageStamp stamp, stamp_of(path));
  job_.files.push_back(known_file(std::string(kItemSaved), path, identity));
  saved_length_ = {stamp.size_bytes};
  job_.saved_images = {std::move(stamp)};
  return {};
}

StepResult ColdMove::send_saved() {
  if (saved_file() == nullptr) return {};
  const auto head = read_state_head(saved_path());
  if (!head) return undo_because(head.error());
  if (auto sent = send_saved_part(ColdFile::Kind::kSavedHead, {0, head->size(), true}); !sent)
    return sent;
  return send_saved_part(ColdFile::Kind::kSaved, {head->size(), saved_length_.bytes, true});
}

// What is put aside in the end is what was sent.
StepResult ColdMove::send_saved_part(ColdFile::Kind kind, FileSender::Part part) {
  const auto all = files();
  const auto file = std::ranges::find(all, kind, &ColdFile::kind);
  const std::string path = saved_path();
  auto opened = open_regular(path, O_RDONLY);
  if (!opened) return undo_because(opened.error());
  const auto seen = see_file_behind(opened->get(), path);
  if (!seen) return undo_because(seen.error());
  if (seen->identity != identity_of(*saved_file())) {
    return undo_because(
        {ErrorCode::kConflict, Retry::kLater, fmt::format("{} is another file by now.", path), {}});
  }
  return send_part(*file, std::move(*opened), part);
}

// REQUIRES: `undefined` is in the journal. Until libvirt has forgotten the VM the locks keep it
// from being booted without its memory.
Status ColdMove::put_saved_aside() {
  const KnownFile* const file = saved_file();
  if (file == nullptr) return {};
  RETURN_IF_ERROR(quarantine_image(file->path, identity_of(*file), job_.move.id));
  put_aside_here_ = true;
  return {};
}

// The disks as they are when it is put aside: while they are locked they are those that were sent.
Status ColdMove::stamp_saved_disks() {
  if (saved_file() == nullptr) return {};
  ASSIGN_OR_RETURN(job_.saved_images, stamp_images(job_.move.plan));
  return {};
}

// Why the disks may be newer than the memory that was put aside; empty: they are not.
Result<std::string> ColdMove::written_since_aside() const {
  ASSIGN_OR_RETURN(const auto written, first_written(job_.saved_images));
  if (written) return fmt::format("{} was written since.", *written);
  const auto& placements = job_.move.plan.placements;
  const auto network = std::ranges::find_if(placements, is_network);
  if (put_aside_here_ || network == placements.end()) return std::string();
  return fmt::format(
      "droverd was away meanwhile, and of {} ({}) nobody can see whether it was written.",
      network->target, network->source_path);
}

// Before libvirt knows the VM again: who starts it then goes on where it was saved. Safe to repeat.
StepResult ColdMove::give_saved_back(const RunState& state) {
  const KnownFile* const file = saved_file();
  if (file == nullptr || is_at(file->path, identity_of(*file))) return {};
  if (state.kind != RunState::Kind::kAbsent && state.kind != RunState::Kind::kOff) {
    tell_saved(
        fmt::format("{} was started on {} meanwhile, from its disks ({}). Its memory as it was "
                    "saved before is in "
                    "{}: it is older than the disks and would damage them. Remove it.",
                    vm_name(), job_.move.source, state.reason, saved_aside_path()));
    return {};
  }
  if (const auto left = file_identity(saved_aside_path());
      !left && left.error().code == ErrorCode::kNotFound) {
    tell_saved(
        fmt::format("{} is on {} as before, but for its saved memory: somebody has removed it.",
                    vm_name(), job_.move.source));
    return {};
  }
  const auto newer = written_since_aside();
  if (!newer) return park_saved_aside(newer.error(), "They cannot be looked at.");
  if (!newer->empty()) {
    return park_saved_aside({ErrorCode::kInDoubt,
                             Retry::kNever,
                             fmt::format("{} may have run since it was saved.", vm_name()),
                             {}},
                            *newer);
  }
  const Status back = restore_image(file->path, identity_of(*file), job_.move.id);
  if (!back) return park_saved_aside(back.error(), "It could not be given back to libvirt.");
  return {};
}

void ColdMove::tell_saved(const std::string& what) {
  log::warning("Move {}: {}", job_.move.id, what);
  change([&](Move& move) { move.explanation = what; });
}

StepResult ColdMove::park_saved_aside(Error error, const std::string& why) {
  return parked(
      std::move(error),
      fmt::format(
          "{0} is off on {1}, and libvirt there does not know it. Its saved memory was put "
          "aside as {2}. {3} Onto disks that were written since, it would damage them. Only "
          "if nothing has written them: mv {2} {4}. Else remove it. Then: drover resolve {5} "
          "--runs-on {1}, which defines the VM again.",
          vm_name(), job_.move.source, saved_aside_path(), why, saved_path(), job_.move.id));
}

// What quarantine would not find by its own name, of a move that keeps nothing at the source.
void ColdMove::drop_saved() {
  const KnownFile* const file = saved_file();
  if (file == nullptr || job_.move.plan.request.disposal != SourceDisposal::kDeleteNow) return;
  if (auto gone = remove_image(saved_aside_path(), identity_of(*file)); !gone)
    log::warning("Move {}: {}", job_.move.id, gone.error().text());
}

}  // namespace drover::move
