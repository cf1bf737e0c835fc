// SPDX-License-Identifier: Apache-2.0
// What an offline or quick move copies, and its road: disks as NBD streams that qemu-img writes,
// files as streams of their own.
#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_move.h"
#include "move/cold/write_failure.h"
#include "move/image_fence.h"
#include "move/plan/network_disks.h"
#include "move/plan/shared_disks.h"
#include "net/digest.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPeerCallLimit = 30s;  // prepare: images are created, nothing is copied
constexpr auto kEventInterval = 20ms;
constexpr auto kShowInterval = 250ms;
constexpr auto kLookLimit = 3s;
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
  if (const auto reply =
          world_.peers.call(job_.move.destination, verb::kPrepare,
                            to_json(MoveName{job_.move.epoch}), Deadline::after(kPeerCallLimit));
      !reply) {
    return undo_because(wrap(reply.error(), fmt::format("{} could not prepare for {}.",
                                                        job_.move.destination, vm_name())));
  }
  if (auto opened = open_source_files(); !opened) return undo_because(opened.error());
  if (!quick()) {
    // While these locks are held the VM cannot be started here. Shared images too: the destination
    // opens them only after they are let go (take_from_libvirt).
    auto fenced = fence_unwritten(job_.move.plan);
    if (!fenced) return undo_because(fenced.error());
    fence_ = std::move(*fenced);
  }
  job_.carriers_started = job_.autostart_cleared = true;
  if (auto saved = save(); !saved) return undo_because(saved.error());
  if (auto cleared = world_.hypervisor.set_autostart(uuid(), false); !cleared)
    return undo_because(cleared.error());
  if (auto started = start_road(); !started) return undo_because(started.error());
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
  for (const auto& placement : copied_disks(job_.move.plan))
    RETURN_IF_ERROR(add(placement.target, placement.source_path));
  const std::string& nvram = job_.move.plan.vm.nvram_path;
  if (!nvram.empty()) RETURN_IF_ERROR(add(std::string(kItemNvram), nvram));
  if (quick()) return {};
  RETURN_IF_ERROR(open_saved());
  return open_tpm_state();
}

Status ColdMove::start_road() {
  keep_bandwidth();
  RoadOptions road = road_options();
  road.gate = false;
  ASSIGN_OR_RETURN(carriers_, world_.carriage.start_source(carrier_name(), secret_, {}, road));
  return first_link();
}

StepResult ColdMove::copy_disks() {
  copying_since_ = std::chrono::steady_clock::now();
  if (auto sent = send_whole(ColdFile::Kind::kLayer); !sent) return sent;
  if (quick()) {
    if (auto unplugged = unplug_teamed(); !unplugged) return unplugged;
    if (auto emptied = empty_drives_for_good(); !emptied) return emptied;
    return mirror_disks();
  }
  if (auto sent = send_disks(); !sent) return sent;
  if (auto sent = send_whole(ColdFile::Kind::kImage); !sent) return sent;
  if (auto sent = send_nvram(); !sent) return sent;
  return send_tpm();
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
  if (given_up_) return undo_because(*given_up_);
  if (auto still = stand_still(); !still) return still;
  call_save();
  if (auto sent = send_state(); !sent) return sent;
  if (auto off = check_saved(); !off) return off;
  if (mirrors_.empty()) {
    if (auto sent = send_disks(); !sent) return sent;
  }
  if (auto sent = send_whole(ColdFile::Kind::kImage); !sent) return sent;
  if (auto sent = send_nvram(); !sent) return sent;
  return send_tpm();
}

StepResult ColdMove::send_disks() {
  const auto socket = world_.carriage.paths(carrier_name()).disks;
  for (const DiskPlacement& placement : streamed_disks(job_.move.plan)) {
    const auto file = std::ranges::find(job_.files, placement.target, &KnownFile::target);
    if (file == job_.files.end()) continue;
    auto sender = ImageSender::start(
        {placement.source_path, identity_of(*file), placement.format, socket, placement.target});
    if (!sender) return undo_because(sender.error());
    if (auto followed = follow([&] { return sender->ended(); }); !followed) return followed;
    if (const auto sent = sender->result(); !sent)
      return undo_because(road_error(send_error(sent.error(), placement, job_.move)));
  }
  return {};
}

// Links kept up, progress to people, until it has ended.
StepResult ColdMove::follow(const std::function<bool()>& ended) {
  while (!ended()) {
    if (auto interruption = interrupted(); !interruption) return interruption;
    while (const auto event = carriers_->next_event(Deadline::after(kEventInterval))) {
      if (event->kind == CarrierEvent::Kind::kLinkLost)
        log::warning("Move {}: a link was lost: {}", job_.move.id, event->text);
      if (event->kind == CarrierEvent::Kind::kGaveUp)
        given_up_ = Error{ErrorCode::kTimeout, Retry::kLater, event->text, {}};
      if (event->kind == CarrierEvent::Kind::kMoverGone && !given_up_) {
        given_up_ = Error{ErrorCode::kInternal,
                          Retry::kLater,
                          fmt::format("The mover on {} ended unexpectedly.", job_.move.source),
                          {}};
      }
    }
    keep_space();
    if (given_up_) return undo_because(*given_up_);
    keep_links();
    show_progress();
  }
  show_progress();
  return {};
}

// A guest that stands still waits for nobody.
void ColdMove::keep_space() {
  const bool has_memory = quick() || carries_saved_memory(job_.move.plan);
  if (given_up_ || (room_for(job_.move.plan).empty() && !has_memory)) return;
  const auto wait = job_.save_called ? RoomWait::kTooLate : RoomWait::kPossible;
  if (auto none = keep_room(wait)) given_up_ = std::move(none);
}

// Files that travel as they are land on disks too, and go as streams of memory. Their hold does not
// end by itself: a mover that did not hear the end of it would carry no more.
Status ColdMove::hold_copy(std::chrono::milliseconds span) {
  const Status told = carriers_->hold_memory(span > 0ms);
  if (!told && span == 0ms && !given_up_) given_up_ = told.error();
  const Status disks = carriers_->hold_disks(span);
  return told ? disks : told;
}

// The first thing that went wrong on the road says more than what followed from it.
Error ColdMove::road_error(Error otherwise) {
  (void)follow([round = 0]() mutable { return round++ > 0; });
  links_are_down();
  return given_up_.value_or(std::move(otherwise));
}

// Of a stream that does not come to its end there.
Error ColdMove::send_failure(std::string_view item, const Error& seen_here) {
  const auto failed = look_there();
  const auto all = files();
  const auto file = std::ranges::find(all, item, &ColdFile::item);
  if (failed && file != all.end())
    return write_error(unwritten_file(*file, vm_name()), job_.move.destination, *failed);
  return road_error(wrap({ErrorCode::kInternal, Retry::kLater, seen_here.text(), {}},
                         fmt::format("The {} of {} could not be sent.", item, vm_name())));
}

void ColdMove::links_are_down() { (void)look_there(); }

// The other side may have given the move up: then nothing is worth waiting for. What it cannot
// write any more is told by it alone.
std::optional<Error> ColdMove::look_there() {
  if (given_up_) return {};
  const auto answer = ask_destination(verb::kLook, kLookLimit);
  if (answer && answer->failed) return answer->failed;
  if (!answer || answer->kind != Answer::Kind::kRefused) return {};
  given_up_ = Error{ErrorCode::kUnavailable, Retry::kLater, answer->text + ".", {}};
  log::warning("Move {}: {}", job_.move.id, given_up_->message);
  return {};
}

StepResult ColdMove::send_nvram() {
  if (job_.move.plan.nvram_destination.empty()) return {};
  const std::string& path = job_.move.plan.vm.nvram_path;
  const auto content = read_file(path, kNvramBytesMax.bytes);
  if (!content) return undo_because(content.error());
  auto sent = send_part(kItemNvram, path, {0, content->size()}, {});
  if (sent) sent_files_.back().sha256 = net::sha256_hex(*content);
  return sent;
}

// Disks, and memory if it is carried.
void ColdMove::show_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (now - shown_at_ < kShowInterval || !carriers_) return;
  shown_at_ = now;
  wire_ = carriers_->wire_count().value_or(wire_);
  ByteCount total;
  for (const auto& placement : room_for(job_.move.plan)) total += placement.allocated;
  const ByteCount memory = quick() ? job_.move.plan.vm.memory : saved_length_;
  {
    const std::lock_guard lock(mutex_);
    Progress& progress = job_.move.progress;
    const auto rate = [](ByteCount before, ByteCount after, std::chrono::milliseconds span) {
      const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(span.count(), 1));
      return BytesPerSecond{after.bytes > before.bytes ? (after.bytes - before.bytes) * 1000 / ms
                                                       : 0};
    };
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - copying_since_);
    progress.disks.done = {std::min((wire_.disks_taken + files_taken()).bytes, total.bytes)};
    progress.disks.total = total;
    progress.disks.rate = rate({}, progress.disks.done, since);
    progress.memory.done = {std::min((wire_.memory_taken - files_taken()).bytes, memory.bytes)};
    progress.memory.total = memory;
    const std::uint64_t all = total.bytes + memory.bytes;
    const std::uint64_t done = progress.disks.done.bytes + progress.memory.done.bytes;
    if (all > 0) {
      const auto percent = static_cast<int>(kCopiedPercent * done / all);
      progress.percent = std::max(progress.percent, percent);
    }
    progress.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now() - job_.move.started_at);
  }
  changed_(MoveChange::kProgress, snapshot());
}

}  // namespace drover::move
