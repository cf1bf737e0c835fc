// SPDX-License-Identifier: Apache-2.0
// The memory of an export: that of a VM that runs is written while the guest stands still, until
// its disks' picture is taken and its small states are read; that of a VM that is off is what
// libvirt keeps for its next start.
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/export_work.h"
#include "archive/manifest.h"
#include "hypervisor/saved_memory.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookInterval = 100ms;
constexpr mode_t kFileMode = 0600;

// One that libvirt made, for us to have and to sync.
Result<UniqueFd> own_file(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  if (::fchmod(file.get(), kFileMode) != 0 || ::fsync(file.get()) != 0)
    return fail_errno("Cannot keep " + path);
  return file;
}

bool same_file(const UniqueFd& file, const std::string& path) {
  struct stat opened{}, found{};
  return ::fstat(file.get(), &opened) == 0 && ::stat(path.c_str(), &found) == 0 &&
         opened.st_dev == found.st_dev && opened.st_ino == found.st_ino;
}

}  // namespace

Status ExportWork::write_memory() {
  if (!planned_->memory || !planned_->running) return {};
  doing("The guest stands still while its memory is written.");
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  ASSIGN_OR_RETURN(const RunState now, world_.hypervisor.run_state(archive().vm_uuid));
  if (now.kind != RunState::Kind::kRunning) {
    return fail(ErrorCode::kConflict, "{} does not run any more: {}.", archive().vm_name,
                now.reason);
  }
  job_.stopped = true;
  RETURN_IF_ERROR(save());
  RETURN_IF_ERROR(world_.hypervisor.suspend(archive().vm_uuid));
  const std::string path = fmt::format("{}/{}", staging_->path(), kMemoryName);
  return while_it_stands_still([&] { return keeper->write_memory(archive().vm_uuid, path); });
}

// A cancel, and a folder that gets full, end it.
Status ExportWork::while_it_stands_still(const std::function<Status()>& act) {
  Status reason;
  Status done;
  {
    const std::jthread watcher([&](const std::stop_token& ended) {
      const std::vector<std::string> folders{staging_->path()};
      while (!ended.stop_requested()) {
        std::this_thread::sleep_for(kLookInterval);
        reason = check_room(folders);
        if (reason) continue;
        (void)world_.hypervisor.abort_job(archive().vm_uuid);
        return;
      }
    });
    done = act();
  }
  // What it was ended for says more than that it was.
  return done || reason ? done : reason;
}

Status ExportWork::let_guest_go_on() {
  if (!job_.stopped) return {};
  ASSIGN_OR_RETURN(const RunState now, world_.hypervisor.run_state(archive().vm_uuid));
  if (now.kind == RunState::Kind::kPaused)
    RETURN_IF_ERROR(world_.hypervisor.resume(archive().vm_uuid));
  job_.stopped = false;
  return save();
}

Status ExportWork::copy_memory() {
  ArchiveItem* const exported = item(kMemoryItem);
  if (exported == nullptr) return {};
  doing("The memory is being exported.");
  HashedFile hashed;
  const std::string path = staging_->path() + "/" + exported->file;
  if (planned_->running) {
    ASSIGN_OR_RETURN(const UniqueFd file, own_file(path));
    ASSIGN_OR_RETURN(hashed, hash_copy(file.get(), exported->file));
  } else {
    ASSIGN_OR_RETURN(hashed, take_file(planned_->saved_memory, exported->file));
  }
  exported->size = hashed.size;
  exported->hash = std::move(hashed.hash);
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  ASSIGN_OR_RETURN(const std::string live, keeper->saved_definition(path));
  ASSIGN_OR_RETURN(const std::string definition, whole_disks(live, planned_->disks));
  ArchiveItem* const described = item(kMemoryDefinitionItem);
  DROVER_CHECK(described != nullptr);
  described->size = {definition.size()};
  described->hash = hash_of(definition);
  return staging_->write(described->file, definition);
}

// With the definition that libvirt wrote into it: the checkpoint's own says where the disks were.
Status ExportWork::copy_checkpoint_memories() {
  for (ArchiveItem& exported : items_) {
    if (!is_checkpoint_memory(exported.item)) continue;
    doing("The memory of a checkpoint is being exported.");
    ASSIGN_OR_RETURN(HashedFile copied, take_file(exported.path, exported.file));
    exported.size = copied.size;
    exported.hash = std::move(copied.hash);
  }
  return {};
}

// What libvirt wrote once and never changes: of a VM that is off, whose images are locked, so that
// it cannot go on from it, or of a checkpoint. But it may be thrown away.
Result<HashedFile> ExportWork::take_file(const std::string& path, const std::string& name) {
  const UniqueFd from(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!from) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(name));
  ASSIGN_OR_RETURN(
      HashedFile copied,
      copy_file(from.get(), to.get(), path, watch(archive().request.bandwidth, written_folders())));
  if (same_file(from, path)) return copied;
  return fail(ErrorCode::kConflict, "{}, memory of {}, was taken away meanwhile.", path,
              archive().vm_name);
}

}  // namespace drover::archive
