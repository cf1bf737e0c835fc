// SPDX-License-Identifier: Apache-2.0
// What an offline or quick move copies, and its road: disks as NBD streams that qemu-img writes,
// files as streams of their own.
#include <algorithm>

#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/cold/write_failure.h"
#include "move/image_fence.h"
#include "move/plan/network_disks.h"
#include "move/plan/shared_disks.h"
#include "move/volumes.h"
#include "preflight/image_format.h"

namespace drover::move {
namespace {

constexpr int kCopiedPercent = 98;

// What qemu-img says when it is our disk.
constexpr std::string_view kReadingFailed = "error while reading";

Error send_error(const Error& said, const DiskPlacement& placement, const Move& move) {
  const Error why{ErrorCode::kInternal, Retry::kLater, said.text(), {}};
  if (!why.message.contains(kReadingFailed))
    return write_error(unwritten_disk(placement, move.plan.vm.name), move.destination, why);
  return wrap(why, fmt::format("{} of {} could not be read on {}, from {}.", placement.target,
                               move.plan.vm.name, move.source, placement.source_path));
}

BytesPerSecond rate_since(std::chrono::steady_clock::time_point begin, ByteCount copied) {
  const auto span = std::chrono::steady_clock::now() - begin;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  return {copied.bytes * 1000 / static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 1))};
}

}  // namespace

StepResult ColdMove::prepare() {
  if (quick()) {
    const auto folder = std::filesystem::path(state_path()).parent_path();
    if (const auto shortage =
            state_short(folder, job_.move.source, vm_name(), job_.move.plan.vm.memory)) {
      return undo_because({ErrorCode::kNoSpace, Retry::kLater, shortage->what, {}});
    }
  }
  if (auto same = compare_files(); !same) return same;
  if (auto prepared = ask_to_prepare(verb::kPrepare, vm_name()); !prepared) return prepared;
  if (auto opened = open_source_files(); !opened) return undo_because(opened.error());
  if (!quick()) {
    // While these locks are held the VM cannot be started here. Shared images too: the destination
    // opens them only after they are let go (take_from_libvirt).
    auto fenced = fence_unwritten(job_.move.plan);
    if (!fenced) return undo_because(fenced.error());
    fence_ = std::move(*fenced);
    // libvirt's QEMUs do not see a lock on a block device: what was written to it shows.
    auto stamps = stamp_volumes(job_.move.plan);
    if (!stamps) return undo_because(stamps.error());
    job_.saved_images = std::move(*stamps);
  }
  job_.carriers_started = true;
  if (auto cleared = clear_autostart(); !cleared) return cleared;
  if (auto started = open_plain_road(); !started) return undo_because(started.error());
  return {};
}

// What is put aside at the end, by what it is now.
Status ColdMove::open_source_files() {
  job_.files.clear();
  const auto add = [&](const std::string& target, const std::string& path) -> Status {
    ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(path));
    job_.files.push_back(known_file(target, path, identity));
    return {};
  };
  for (const auto& placement : copied_disks(job_.move.plan)) {
    // A volume stays as it is.
    if (placement.source_pool.empty())
      RETURN_IF_ERROR(add(placement.target, placement.source_path));
  }
  const std::string& nvram = job_.move.plan.vm.nvram_path;
  if (!nvram.empty()) RETURN_IF_ERROR(add(std::string(kItemNvram), nvram));
  if (quick()) return {};
  RETURN_IF_ERROR(open_saved());
  return open_tpm_state();
}

StepResult ColdMove::copy_disks() {
  if (job_.move.plan.request.rehearse) {
    rehearsed_ = true;
    return undo_because(Error{ErrorCode::kCancelled, Retry::kNever, "It was a rehearsal.", {}});
  }
  copying_since_ = std::chrono::steady_clock::now();
  if (auto sent = send_whole(ColdFile::Kind::kLayer); !sent) return sent;
  if (quick()) {
    if (auto unplugged = unplug_teamed(); !unplugged) return unplugged;
    if (auto emptied = empty_drives_for_good(); !emptied) return emptied;
    return mirror_disks();
  }
  if (auto sent = send_disks(); !sent) return sent;
  if (auto sent = send_whole(ColdFile::Kind::kImage); !sent) return sent;
  if (auto sent = send_whole(ColdFile::Kind::kNvram); !sent) return sent;
  return send_whole(ColdFile::Kind::kTpm);
}

// The definition that libvirt has from then on is the one that is compared, and given back to it
// if the move is undone: then the discs are inserted again.
StepResult ColdMove::empty_drives_for_good() {
  if (auto emptied = empty_drives(); !emptied || job_.ejected.empty()) return emptied;
  const auto xml = world_.hypervisor.definition(uuid(), DefinitionKind::kPersistent);
  if (!xml) return undo_because(xml.error());
  job_.persistent_xml = *xml;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  return {};
}

StepResult ColdMove::copy_state() {
  if (!quick()) return send_saved();
  release_disks();  // the mirrors end once what they have written was answered
  if (road_error_) return undo_because(*road_error_);
  if (auto still = stand_still(); !still) return still;
  call_save();
  if (auto sent = send_state(); !sent) return sent;
  if (auto off = check_saved(); !off) return off;
  if (mirrors_.empty()) {
    if (auto sent = send_disks(); !sent) return sent;
  }
  if (auto sent = send_whole(ColdFile::Kind::kImage); !sent) return sent;
  if (auto sent = send_whole(ColdFile::Kind::kNvram); !sent) return sent;
  return send_whole(ColdFile::Kind::kTpm);
}

StepResult ColdMove::send_disks() {
  const auto socket = world_.carriage.paths(carrier_name()).disks;
  for (const DiskPlacement& placement : streamed_disks(job_.move.plan)) {
    const auto volume = volume_at_source(placement);
    const auto file = std::ranges::find(job_.files, placement.target, &KnownFile::target);
    if (file == job_.files.end() && !volume) continue;
    using Export = ImageSendCall::Export;
    auto sender = ImageSender::start(
        {placement.source_path, volume ? FileIdentity{} : identity_of(*file),
         preflight::format_now(job_.move.plan, placement), socket, placement.target, volume,
         placement.destination_pool.empty() ? Export::kIsZero : Export::kHoldsAnything});
    if (!sender) return undo_because(sender.error());
    if (auto followed = follow([&] { return sender->ended(); }); !followed) return followed;
    if (const auto sent = sender->result(); !sent)
      return undo_because(road_error_or(send_error(sent.error(), placement, job_.move)));
  }
  return {};
}

// A guest that stands still waits for nobody.
std::optional<Error> ColdMove::keep_space() {
  const bool has_memory = quick() || carries_saved_memory(job_.move.plan);
  if (road_error_ || (room_for(job_.move.plan).empty() && !has_memory)) return {};
  return keep_room(job_.save_called ? RoomWait::kTooLate : RoomWait::kPossible);
}

// Disks, and memory if it is carried.
void ColdMove::count_copied(Progress& progress) const {
  ByteCount total;
  for (const auto& placement : room_for(job_.move.plan)) total += placement.allocated;
  const ByteCount memory = quick() ? job_.move.plan.vm.memory : saved_length_;
  progress.disks.done = {std::min((wire_.disks_taken + files_taken()).bytes, total.bytes)};
  progress.disks.total = total;
  progress.disks.rate = rate_since(copying_since_, progress.disks.done);
  progress.memory.done = {std::min((wire_.memory_taken - files_taken()).bytes, memory.bytes)};
  progress.memory.total = memory;
  const std::uint64_t all = total.bytes + memory.bytes;
  if (all == 0) return;
  const std::uint64_t done = progress.disks.done.bytes + progress.memory.done.bytes;
  progress.percent = std::max(progress.percent, static_cast<int>(kCopiedPercent * done / all));
}

}  // namespace drover::move
