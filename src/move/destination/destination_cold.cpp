// SPDX-License-Identifier: Apache-2.0
// A quick or offline move, at its destination: no hypervisor of ours takes it in. Its disks come
// into images that a program of its own serves, its files as they are; once `accepted` is recorded
// the VM is defined here, and a saved guest restored. From then on only forward, whoever restarts.
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/file_identity.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_side.h"
#include "move/group.h"
#include "move/plan/shared_disks.h"
#include "move/residue/residue.h"
#include "move/retry.h"
#include "net/digest.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Where libvirt keeps UEFI variables (preflight/placement.cpp): a peer names no other place.
constexpr std::string_view kNvramFolder = "/var/lib/libvirt/qemu/nvram";

constexpr auto kLastEvent = 500ms;  // of a QEMU that libvirt has ended

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

// But the memory of a VM that is off, which take_saved() syncs.
Status sync_images(const std::vector<KnownFile>& files) {
  for (const KnownFile& file : files) {
    if (file.target == kItemSaved) continue;
    // A logical volume's path is a link.
    const int follow = file.pool.empty() ? O_NOFOLLOW : 0;
    const UniqueFd image(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | follow));
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
  entry.sink = std::make_shared<FileSink>(std::move(slots), keeps_free());
  ASSIGN_OR_RETURN(auto key, from_hex(entry.job.link_key));
  DestinationFiles files;
  files.held = held_files(entry);
  files.group = open_group(world_, entry.job.plan);
  files.images = open_created(entry);
  if (entry.job.plan.kind == MoveKind::kQuick || carries_saved_memory(entry.job.plan))
    files.memory = world_.memories->find(entry.job.plan.vm.uuid, entry.job.peer);
  files.record_writes =
      copies_disks(entry.job.plan) && entry.job.plan.request.verification != Verification::kNone;
  files.gate = false;
  files.take_file = [sink = entry.sink] { return sink->open_next(); };
  ASSIGN_OR_RETURN(entry.carriers, world_.carriage.start_destination(
                                       entry.name(), {std::move(key), entry.job.link_identity}, {},
                                       std::move(files)));
  std::vector<ServedDisk> disks;
  for (const DiskPlacement& placement : streamed_disks(entry.job.plan)) {
    for (const KnownFile& file : entry.job.created) {
      if (file.target != placement.target) continue;
      disks.push_back(
          {placement.target, file.path, identity_of(file), placement.format, placement.allocation});
      if (!file.pool.empty()) disks.back().volume = placement.virtual_size;
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
  using Kind = ColdFile::Kind;
  for (const ColdFile& file : cold_files(entry.job.plan, entry.job.persistent_xml, tpm_folder_)) {
    if (file.kind == Kind::kNvram) {
      RETURN_IF_ERROR(check_nvram_path(file.destination_path));
      ASSIGN_OR_RETURN(auto slot,
                       make_cold_file(entry, file.item, file.destination_path, file.most));
      slots.push_back(std::move(slot));
    } else if (file.kind == Kind::kTpm) {
      ASSIGN_OR_RETURN(auto slot, make_tpm_file(entry, file));
      slots.push_back(std::move(slot));
    } else if (file.kind == Kind::kStateHead) {
      const auto path = world_.carriage.state_file(entry.name()).string();
      ASSIGN_OR_RETURN(auto slot, make_cold_file(entry, file.item, path, file.most));
      slots.push_back(std::move(slot));
    } else if (file.kind == Kind::kSavedHead) {
      RETURN_IF_ERROR(make_saved_file(entry, slots));
    } else if (file.kind == Kind::kSaved) {
      continue;  // with its head
    } else if (file.kind == Kind::kState) {
      // The second stream goes on where the first one ended.
      const FileSink::Slot& head = slots.back();
      slots.push_back(
          {file.item, head.file.duplicate(), file.most, FileSink::Slot::Kind::kPart, head.path});
    } else {
      ASSIGN_OR_RETURN(auto slot, make_whole_file(entry, file));
      slots.push_back(std::move(slot));
    }
  }
  return {};
}

// Like an image: written down before it is made.
Result<FileSink::Slot> DestinationSide::make_cold_file(Entry& entry, const std::string& item,
                                                       const std::string& path, ByteCount most) {
  const std::string made_here = made_at(entry.job, known_file(item, path, {}));
  RETURN_IF_ERROR(check_nothing_at(made_here));
  entry.job.created.push_back(known_file(item, path, {}));
  RETURN_IF_ERROR(save(entry));
  UniqueFd file(
      ::open(made_here.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    Status failed = fail_errno("Cannot create " + made_here);
    entry.job.created.pop_back();
    RETURN_IF_ERROR(save(entry));
    return std::unexpected(failed.error());
  }
  ASSIGN_OR_RETURN(const SeenFile made, see_file_behind(file.get(), made_here));
  entry.job.created.back() = known_file(item, path, made.identity);
  RETURN_IF_ERROR(save(entry));
  return FileSink::Slot{item, std::move(file), most, FileSink::Slot::Kind::kPart, path};
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
  const std::vector<ColdFile> expected =
      cold_files(entry.job.plan, entry.job.persistent_xml, tpm_folder_);
  const bool as_agreed =
      std::ranges::equal(request.files, expected, {}, &ArriveRequest::File::item, &ColdFile::item);
  if (!as_agreed) return fail(ErrorCode::kProtocol, "Other files came than were agreed.");
  if (!entry.sink) return was_restarted(entry);
  RETURN_IF_ERROR(entry.sink->complete());
  if (entry.server) RETURN_IF_ERROR(entry.server->stop());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].kind != ColdFile::Kind::kNvram) continue;
    ASSIGN_OR_RETURN(const std::string content,
                     read_file(entry.job.plan.nvram_destination, kNvramBytesMax.bytes));
    if (net::sha256_hex(content) != request.files[i].sha256)
      return fail(ErrorCode::kCorrupt, "The UEFI variables of {} are not what was sent.",
                  entry.job.plan.vm.name);
  }
  RETURN_IF_ERROR(take_whole_files(entry, request));
  RETURN_IF_ERROR(take_saved(entry, request));
  if (entry.job.plan.kind == MoveKind::kQuick) {
    RETURN_IF_ERROR(
        write_head(world_.carriage.state_file(entry.name()).string(), request.state_head));
    return {};
  }
  // Nobody waits for this VM: it is safe before it is taken.
  return sync_images(entry.job.created);
}

// Accepted: the VM is taken in, in steps that are written down. Where it stands, truth_of_cold()
// says.
void DestinationSide::go_on_with_arrival(Entry& entry) {
  const DestinationJob& job = entry.job;
  if (job.undone || job.undoing || job.settled) return;
  Status went;
  if (job.never_ran || !entry.refused_because.empty())
    went = give_back(entry);
  else if (!job.defined) {
    went = place_saved(entry);
    if (went && entry.refused_because.empty()) went = define_guest(entry);
  }
  if (went && job.defined && !job.never_ran && job.plan.kind == MoveKind::kQuick && !job.restored)
    went = restore_guest(entry);
  entry.waits_because = went ? "" : went.error().text();
}

Status DestinationSide::define_guest(Entry& entry) {
  DestinationJob& job = entry.job;
  if (auto defined = world_.hypervisor.define(job.persistent_xml); !defined) {
    if (is_unanswered(defined.error())) return defined;
    // What libvirt has counts, not what it says; the reservation began with no such VM here.
    ASSIGN_OR_RETURN(const RunState there, world_.hypervisor.run_state(job.plan.vm.uuid));
    job.defined = there.kind != RunState::Kind::kAbsent;
    entry.refused_because = defined.error().text();
    return give_back(entry);
  }
  job.defined = true;
  if (auto saved = save(entry); !saved) {
    job.defined = false;
    return saved;
  }
  log::info("Move {} of {} from {}: defined.", job.move_id, job.plan.vm.name, job.peer);
  return {};
}

// libvirt here has said no, and nothing ran. That is written down, then libvirt is made to forget
// it, and only then it is said: whoever takes the VM back must be the only one who can start it.
Status DestinationSide::give_back(Entry& entry) {
  DestinationJob& job = entry.job;
  RETURN_IF_ERROR(put_saved_aside(entry));
  if (job.never_ran && !job.defined) return {};
  if (!job.never_ran) {
    job.never_ran = true;
    if (auto saved = save(entry); !saved) {
      job.never_ran = false;
      return saved;
    }
  }
  if (!job.defined) return {};
  const std::string& uuid = job.plan.vm.uuid;
  ASSIGN_OR_RETURN(RunState state, world_.hypervisor.run_state(uuid));
  if (state.kind == RunState::Kind::kOff) {
    RETURN_IF_ERROR(undefine(uuid));
    ASSIGN_OR_RETURN(state, world_.hypervisor.run_state(uuid));
  }
  if (state.kind == RunState::Kind::kAbsent) {
    job.defined = false;
    return save(entry);
  }
  // Somebody has started it here: then it is here, and nobody was told otherwise.
  (void)world_.hypervisor.define(job.persistent_xml);
  job.never_ran = false;
  entry.refused_because.clear();
  RETURN_IF_ERROR(save(entry));
  return fail(ErrorCode::kInDoubt, "{} was started on {} ({}).", job.plan.vm.name, world_.host_name,
              state.reason);
}

Status DestinationSide::has_run(Entry& entry) {
  DestinationJob& job = entry.job;
  job.restored = true;
  std::erase_if(job.created, [](const KnownFile& file) { return file.target == kItemStateHead; });
  ::unlink(world_.carriage.state_file(entry.name()).c_str());
  return save(entry);
}

// It was restored, whether that is written down or not, or somebody has started it since.
bool DestinationSide::runs_here(const Entry& entry, const RunState& state) {
  if (!entry.job.restore_called) return false;
  if (state.kind == RunState::Kind::kRunning || entry.resumed_seen) return true;
  return state.kind == RunState::Kind::kPaused && entry.job.plan.vm.state == VmState::kPaused;
}

// Once: a guest that may have run must not be restored again over its newer disks.
Status DestinationSide::restore_guest(Entry& entry) {
  DestinationJob& job = entry.job;
  const std::string& uuid = job.plan.vm.uuid;
  ASSIGN_OR_RETURN(const RunState before, world_.hypervisor.run_state(uuid));
  if (runs_here(entry, before)) return has_run(entry);
  if (job.restore_called || before.kind != RunState::Kind::kOff)
    return fail(ErrorCode::kInDoubt, "{} is {} on {}.", job.plan.vm.name, before.reason,
                world_.host_name);
  job.restore_called = true;
  if (auto saved = save(entry); !saved) {
    job.restore_called = false;
    return saved;
  }
  entry.stopped_seen = false;
  const auto restored = world_.hypervisor.restore(world_.carriage.state_file(entry.name()).string(),
                                                  job.destination_xml);
  if (restored) {
    log::info("Move {} of {} from {}: restored.", job.move_id, job.plan.vm.name, job.peer);
    announce_guest(world_.hypervisor, uuid);
    return has_run(entry);
  }
  log::warning("Move {}: {} cannot be restored: {}", job.move_id, job.plan.vm.name,
               restored.error().text());
  // Events come in order, on a connection of their own: the end of a QEMU after all that it did.
  for (const Deadline limit = Deadline::after(kLastEvent);
       !entry.stopped_seen && !entry.resumed_seen && !limit.expired();) {
    std::this_thread::sleep_for(10ms);
  }
  const auto after = world_.hypervisor.run_state(uuid);
  const bool refused = !is_unanswered(restored.error()) && after &&
                       after->kind == RunState::Kind::kOff && !entry.resumed_seen;
  if (!refused) return restored;
  entry.refused_because = restored.error().text();
  return give_back(entry);
}

// As truth_of(): how far it is here, once it was accepted. Changes nothing.
Answer DestinationSide::truth_of_cold(Entry& entry) {
  using Kind = Answer::Kind;
  using Ran = Answer::Ran;
  const DestinationJob& job = entry.job;
  const std::string& host = world_.host_name;
  const auto pending = [&](const std::string& what) {
    const std::string why = entry.waits_because.empty() ? "" : ": " + entry.waits_because;
    return Answer{Kind::kPending, {}, 0, what + why};
  };
  const auto state = world_.hypervisor.run_state(job.plan.vm.uuid);
  if (!state) return pending("libvirt on " + host + " does not answer");
  if (job.never_ran && !job.defined) {
    const std::string why = entry.refused_because.empty() ? "" : ": " + entry.refused_because;
    return {Kind::kGone, Ran::kNo, 0, "it never ran on " + host + why};
  }
  if (job.never_ran || !entry.refused_because.empty())
    return pending(host + " cannot give it back yet");
  if (!job.defined) return pending("libvirt on " + host + " has not taken it yet");
  const bool off = state->kind == RunState::Kind::kOff;
  const bool gone = off || state->kind == RunState::Kind::kAbsent;
  if (job.plan.kind == MoveKind::kOffline) {
    if (state->kind == RunState::Kind::kAbsent)
      return {Kind::kGone, Ran::kUnknown, 0, "it was defined on " + host + " and is gone"};
    return {Kind::kRuns, Ran::kYes, 0, "it is on " + host};
  }
  if (!gone && (job.restored || runs_here(entry, *state)))
    return {Kind::kRuns, Ran::kYes, 0, "it runs on " + host};
  if (!gone) return pending("libvirt on " + host + " has not resumed it yet");
  if (job.restored) return {Kind::kGone, Ran::kYes, 0, "it ran on " + host + " and ended"};
  if (!job.restore_called) return pending("it is not restored on " + host + " yet");
  return {Kind::kGone, Ran::kUnknown, 0,
          "it was being restored on " + host + " and is off; whether it ran is unknown"};
}

}  // namespace drover::move
