// SPDX-License-Identifier: Apache-2.0
// A quick or offline move, at its destination: no hypervisor of ours takes it in. Its disks come
// into images that a program of its own serves, its files as they are; once `accepted` is recorded
// the VM is defined here, and a saved guest restored. From then on only forward, whoever restarts.
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/file_identity.h"
#include "move/cold_files.h"
#include "move/destination_side.h"
#include "move/group.h"
#include "move/residue.h"
#include "move/shared_disks.h"
#include "net/digest.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Where libvirt keeps UEFI variables (preflight/placement.cpp): a peer names no other place.
constexpr std::string_view kNvramFolder = "/var/lib/libvirt/qemu/nvram";

Status check_nvram_path(const std::string& path) {
  if (is_plain_path(path) && std::filesystem::path(path).parent_path() == kNvramFolder) return {};
  return fail(ErrorCode::kPolicy, "{} is not where libvirt keeps UEFI variables.", path);
}

// It was written once, as a part of the whole; libvirt finished it at the source.
Status write_head(const std::string& path, const std::string& head) {
  const auto bytes = state_head_bytes(head);
  const auto before = read_state_head(path);
  if (!bytes || !before || *bytes != head.size() || before->size() != head.size())
    return fail(ErrorCode::kProtocol, "The head of the saved state is not that of what came.");
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  if (::pwrite(file.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()) ||
      ::fdatasync(file.get()) != 0) {
    return fail_errno("Cannot write " + path);
  }
  return {};
}

Status sync_images(const std::vector<KnownFile>& files) {
  for (const KnownFile& file : files) {
    const UniqueFd image(::open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!image || ::fsync(image.get()) != 0) return fail_errno("Cannot sync " + file.path);
  }
  return {};
}

}  // namespace

Status DestinationSide::start_cold(Entry& entry) {
  entry.job.recorded = true;
  RETURN_IF_ERROR(save(entry));
  RETURN_IF_ERROR(world_.records.create_destination(entry.key(), entry.job.move_id));
  std::vector<FileSink::Slot> slots;
  RETURN_IF_ERROR(make_cold_files(entry, slots));
  entry.sink = std::make_shared<FileSink>(std::move(slots));
  ASSIGN_OR_RETURN(auto key, from_hex(entry.job.link_key));
  DestinationFiles files;
  files.held = held_files(entry);
  files.group = open_group(world_, entry.job.plan);
  files.images = open_created(entry);
  if (entry.job.plan.kind == MoveKind::kQuick)
    files.memory = world_.memories->find(entry.job.plan.vm.uuid, entry.job.peer);
  files.record_writes =
      copies_disks(entry.job.plan) && entry.job.plan.request.verification != Verification::kNone;
  files.gate = false;
  files.take_file = [sink = entry.sink] { return sink->open_next(); };
  ASSIGN_OR_RETURN(entry.carriers, world_.carriage.start_destination(
                                       entry.name(), {std::move(key), entry.job.link_identity}, {},
                                       std::move(files)));
  std::vector<ServedDisk> disks;
  for (const DiskPlacement& placement : copied_disks(entry.job.plan)) {
    for (const KnownFile& file : entry.job.created) {
      if (file.target != placement.target) continue;
      disks.push_back({placement.target, file.path, identity_of(file), placement.format});
    }
  }
  if (!disks.empty()) {
    ASSIGN_OR_RETURN(entry.server,
                     ImageServer::start(disks, world_.carriage.paths(entry.name()).disks));
  }
  entry.job.link_key.clear();
  return save(entry);
}

Status DestinationSide::make_cold_files(Entry& entry, std::vector<FileSink::Slot>& slots) {
  const Plan& plan = entry.job.plan;
  for (const std::string& item : cold_files(plan)) {
    if (item == kItemNvram) {
      RETURN_IF_ERROR(check_nvram_path(plan.nvram_destination));
      ASSIGN_OR_RETURN(auto slot,
                       make_cold_file(entry, item, plan.nvram_destination, kNvramBytesMax));
      slots.push_back(std::move(slot));
    } else if (item == kItemStateHead) {
      const auto path = world_.carriage.state_file(entry.name()).string();
      ASSIGN_OR_RETURN(auto slot, make_cold_file(entry, item, path, {kStateHeadMax}));
      slots.push_back(std::move(slot));
    } else if (item == kItemState) {
      // The second stream goes on where the first one ended.
      slots.push_back({item, slots.back().file.duplicate(), state_bytes_max(plan)});
    }
  }
  return {};
}

// Like an image: written down before it is made.
Result<FileSink::Slot> DestinationSide::make_cold_file(Entry& entry, const std::string& item,
                                                       const std::string& path, ByteCount most) {
  RETURN_IF_ERROR(check_nothing_at(path));
  entry.job.created.push_back(known_file(item, path, {}));
  RETURN_IF_ERROR(save(entry));
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    Status failed = fail_errno("Cannot create " + path);
    entry.job.created.pop_back();
    RETURN_IF_ERROR(save(entry));
    return std::unexpected(failed.error());
  }
  ASSIGN_OR_RETURN(const SeenFile made, see_file_behind(file.get(), path));
  entry.job.created.back() = known_file(item, path, made.identity);
  RETURN_IF_ERROR(save(entry));
  return FileSink::Slot{item, std::move(file), most};
}

bool DestinationSide::is_fed(Entry& entry) {
  if (!entry.sink || !entry.carriers || entry.job.undoing) return false;
  while (entry.carriers->next_event(Deadline::after(0ms))) {
  }
  return entry.carriers->mover_alive();
}

void DestinationSide::end_cold(Entry& entry) {
  entry.sink.reset();
  entry.server.reset();
}

// The source has everything sent and does not know the VM any more. Safe to repeat: what was
// accepted goes on.
Result<std::string> DestinationSide::arrive(Entry& entry, std::string_view body) {
  ASSIGN_OR_RETURN(const ArriveRequest request, arrive_request_from_json(body));
  if (!is_cold(entry.job.plan) || !entry.job.prepared || entry.job.undone || entry.job.undoing) {
    return fail(ErrorCode::kConflict,
                "Move {} cannot arrive on {}: it was not prepared, or was "
                "undone.",
                entry.job.move_id, world_.host_name);
  }
  ASSIGN_OR_RETURN(const auto decided, world_.records.decision(entry.key()));
  if (!decided && !entry.job.settled) {
    RETURN_IF_ERROR(take_delivered(entry, request));
    RETURN_IF_ERROR(world_.records.decide(entry.key(), gate::Decision::kAccepted));
  }
  // It takes the VM in, if the record says so; and what it says holds.
  return answer(entry);
}

// Whatever is wrong here, nothing was accepted yet.
Status DestinationSide::take_delivered(Entry& entry, const ArriveRequest& request) {
  const std::vector<std::string> expected = cold_files(entry.job.plan);
  const bool as_agreed =
      request.files.size() == expected.size() &&
      std::ranges::equal(request.files, expected, {}, &ArriveRequest::File::item);
  if (!as_agreed) return fail(ErrorCode::kProtocol, "Other files came than were agreed.");
  if (!entry.sink) {
    return std::unexpected(Error{ErrorCode::kUnavailable,
                                 Retry::kLater,
                                 fmt::format("droverd on {} was restarted while {} came.",
                                             world_.host_name, entry.job.plan.vm.name),
                                 {}});
  }
  RETURN_IF_ERROR(entry.sink->complete());
  if (entry.server) RETURN_IF_ERROR(entry.server->stop());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] != kItemNvram) continue;
    ASSIGN_OR_RETURN(const std::string content,
                     read_file(entry.job.plan.nvram_destination, kNvramBytesMax.bytes));
    if (net::sha256_hex(content) != request.files[i].sha256)
      return fail(ErrorCode::kCorrupt, "The UEFI variables of {} are not what was sent.",
                  entry.job.plan.vm.name);
  }
  if (entry.job.plan.kind == MoveKind::kQuick) {
    RETURN_IF_ERROR(
        write_head(world_.carriage.state_file(entry.name()).string(), request.state_head));
    return {};
  }
  // Nobody waits for this VM: it is safe before it is taken.
  return sync_images(entry.job.created);
}

// Accepted: the VM is taken in, in steps that are written down.
Status DestinationSide::go_on_with_arrival(Entry& entry) {
  DestinationJob& job = entry.job;
  if (job.never_ran || job.undone || job.undoing || job.settled) return {};
  if (!job.defined) {
    RETURN_IF_ERROR(world_.hypervisor.define(job.persistent_xml));
    job.defined = true;
    if (auto saved = save(entry); !saved) {
      job.defined = false;
      return saved;
    }
    log::info("Move {} of {} from {}: defined.", job.move_id, job.plan.vm.name, job.peer);
  }
  if (job.plan.kind == MoveKind::kQuick && !job.restored) return restore_guest(entry);
  return {};
}

// Once: a guest that may have run must not be restored again over its newer disks.
Status DestinationSide::restore_guest(Entry& entry) {
  DestinationJob& job = entry.job;
  const std::string& uuid = job.plan.vm.uuid;
  const auto has_run = [&] {
    job.restored = true;
    std::erase_if(job.created,
                  [&](const KnownFile& file) { return file.target == kItemStateHead; });
    ::unlink(world_.carriage.state_file(entry.name()).c_str());
    return save(entry);
  };
  ASSIGN_OR_RETURN(const RunState before, world_.hypervisor.run_state(uuid));
  const bool paused = before.kind == RunState::Kind::kPaused;
  if (job.restore_called && (before.kind == RunState::Kind::kRunning || entry.resumed_seen ||
                             (paused && job.plan.vm.state == VmState::kPaused))) {
    return has_run();
  }
  if (job.restore_called || before.kind != RunState::Kind::kOff)
    return fail(ErrorCode::kInDoubt, "{} is {} on {}.", job.plan.vm.name, before.reason,
                world_.host_name);
  job.restore_called = true;
  if (auto saved = save(entry); !saved) {
    job.restore_called = false;
    return saved;
  }
  const auto restored = world_.hypervisor.restore(world_.carriage.state_file(entry.name()).string(),
                                                  job.destination_xml);
  if (restored) {
    log::info("Move {} of {} from {}: restored.", job.move_id, job.plan.vm.name, job.peer);
    announce_guest(world_.hypervisor, uuid);
    return has_run();
  }
  log::warning("Move {}: {} cannot be restored: {}", job.move_id, job.plan.vm.name,
               restored.error().text());
  const auto after = world_.hypervisor.run_state(uuid);
  const bool refused = restored.error().code != ErrorCode::kUnavailable &&
                       restored.error().code != ErrorCode::kTimeout && after &&
                       after->kind == RunState::Kind::kOff && !entry.resumed_seen;
  if (!refused) return restored;
  // libvirt has said no, and nothing ran: that word stands, also after a restart.
  job.never_ran = true;
  entry.refused_because = restored.error().text();
  if (auto saved = save(entry); !saved) job.never_ran = false;
  return restored;
}

// As truth_of(): what libvirt here says, once it was accepted.
Answer DestinationSide::truth_of_cold(Entry& entry) {
  using Kind = Answer::Kind;
  using Ran = Answer::Ran;
  const DestinationJob& job = entry.job;
  const std::string& host = world_.host_name;
  const Status went = go_on_with_arrival(entry);
  const auto state = world_.hypervisor.run_state(job.plan.vm.uuid);
  if (!state) return {Kind::kPending, {}, 0, "libvirt on " + host + " does not answer"};
  if (job.never_ran) {
    const std::string why = entry.refused_because.empty() ? "" : ": " + entry.refused_because;
    return {Kind::kGone, Ran::kNo, 0, "it never ran on " + host + why};
  }
  if (!job.defined) {
    const bool passing = went || went.error().code == ErrorCode::kUnavailable ||
                         went.error().code == ErrorCode::kTimeout;
    const std::string why = went ? "" : ": " + went.error().text();
    if (!passing) entry.refused_because = went.error().text();
    if (passing) return {Kind::kPending, {}, 0, "libvirt on " + host + " does not answer" + why};
    return {Kind::kGone, Ran::kNo, 0, "libvirt on " + host + " does not take it" + why};
  }
  const bool off = state->kind == RunState::Kind::kOff;
  const bool gone = off || state->kind == RunState::Kind::kAbsent;
  if (job.plan.kind == MoveKind::kOffline) {
    if (state->kind == RunState::Kind::kAbsent)
      return {Kind::kGone, Ran::kUnknown, 0, "it was defined on " + host + " and is gone"};
    return {Kind::kRuns, Ran::kYes, 0, "it is on " + host};
  }
  if (!gone && job.restored) return {Kind::kRuns, Ran::kYes, 0, "it runs on " + host};
  if (!gone) return {Kind::kPending, {}, 0, "libvirt on " + host + " has not resumed it yet"};
  if (job.restored) return {Kind::kGone, Ran::kYes, 0, "it ran on " + host + " and ended"};
  if (!job.restore_called) return {Kind::kPending, {}, 0, "it is not restored on " + host + " yet"};
  return {Kind::kGone, Ran::kUnknown, 0,
          "it was being restored on " + host + " and is off; whether it ran is unknown"};
}

}  // namespace drover::move
