// SPDX-License-Identifier: Apache-2.0
// The way back of a storage move, after which no copy goes on and no image is left that no disk
// uses. Every part may run twice.
#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/saved_memory.h"
#include "move/residue/quarantine.h"
#include "move/retry.h"
#include "move/storage/storage_move.h"
#include "move/volumes.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 1s;
constexpr auto kLookInterval = 100ms;
// An image that was being made when droverd died holds no more than a header.
constexpr std::uint64_t kUnbornMost = 1u << 20;

// By what it is, or, where that could not be written down any more, by being as good as empty and
// made since the move was asked for.
Result<FileIdentity> identity_to_remove(const KnownFile& file,
                                        std::chrono::system_clock::time_point asked_at) {
  if (file.inode != 0) return identity_of(file);
  auto seen = see_file(AT_FDCWD, file.path);
  if (!seen) return fail(ErrorCode::kNotFound, "{} was never made.", file.path);
  const std::chrono::nanoseconds born(seen->identity.born_ns);
  const bool older = born.count() != 0 && born < asked_at.time_since_epoch();
  if (!seen->regular || older || seen->allocated_bytes > kUnbornMost)
    return fail(ErrorCode::kConflict, "{} is not the empty image that was to be made.", file.path);
  return std::move(seen->identity);
}

}  // namespace

bool StorageMove::undo() {
  log::info("Move {} of {}: undone.", job_.move.id, vm_name());
  for (const DiskPlacement& placement : job_.move.plan.placements) {
    if (std::ranges::find(job_.begun, placement.target) == job_.begun.end()) continue;
    if (!end_mirror(placement)) return false;
  }
  if (!put_memory_back()) return false;
  if (!remove_created()) return false;
  fence_.reset();
  return true;
}

// Once a disk has been switched the plan is another one, and a person decides.
bool StorageMove::another_follows(const Error& error) {
  if (!job_.switched.empty() || !job_.created.empty()) return false;
  return try_again(error, Slots::Way::kStorage, [this] {
    job_.files.clear();
    job_.begun.clear();
  });
}

// Until QEMU writes the copy no more. A libvirtd that does not answer is waited for: QEMU goes on
// without it.
bool StorageMove::end_mirror(const DiskPlacement& placement) {
  while (true) {
    const auto state = world_.hypervisor.run_state(uuid());
    if (state && (state->kind == RunState::Kind::kOff || state->kind == RunState::Kind::kAbsent))
      return true;
    const auto now = world_.hypervisor.disk_copy(uuid(), placement.target);
    if (!now && now.error().code != ErrorCode::kUnavailable && state) return true;  // another's job
    if (now &&
        (now->state == DiskCopy::State::kNone || now->copy_path != placement.destination_path)) {
      return true;
    }
    if (now) {
      const Status told =
          world_.hypervisor.end_disk_copy(uuid(), placement.target, DiskCopyEnd::kDrop);
      if (!told) log::warning("Move {}: {}", job_.move.id, told.error().text());
    }
    if (!pause_for(now ? kLookInterval : kAskAgain)) return false;
  }
}

// Kept memory goes on with the images that stay. Nothing is kept, or it was never told otherwise,
// is success; where libvirt does not take it, the new images stay too.
bool StorageMove::put_memory_back() {
  if (job_.saved_xml.empty()) return true;
  const std::string file = saved_memory_file(world_.hypervisor, vm_name());
  while (::access(file.c_str(), F_OK) == 0) {
    const auto keeper = saved_memory_of(world_.hypervisor);
    const Status told = keeper ? define_saved_for_good(**keeper, file, job_.saved_xml)
                               : std::unexpected(keeper.error());
    if (told) break;
    log::warning("Move {}: {}", job_.move.id, told.error().text());
    if (told.error().code != ErrorCode::kUnavailable) break;
    if (!pause_for(kAskAgain)) return false;
  }
  return true;
}

// Memory that is kept of this VM goes on with it.
Result<bool> StorageMove::is_in_memory(const std::string& path) {
  const std::string file = saved_memory_file(world_.hypervisor, vm_name());
  if (job_.saved_xml.empty() || ::access(file.c_str(), F_OK) != 0) return false;
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  ASSIGN_OR_RETURN(const std::string xml, keeper->saved_definition(file));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  return std::ranges::any_of(facts.disks,
                             [&](const DiskFacts& disk) { return disk.disk.path == path; });
}

// A definition of this VM, or of another, or a chain, or kept memory names the file.
Result<bool> StorageMove::is_used(const std::string& path) {
  ASSIGN_OR_RETURN(const bool in_memory, is_in_memory(path));
  if (in_memory) return true;
  for (const DefinitionKind kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
    const auto xml = world_.hypervisor.definition(uuid(), kind);
    if (!xml && xml.error().code == ErrorCode::kUnavailable) return std::unexpected(xml.error());
    if (!xml) continue;
    ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(*xml));
    for (const DiskFacts& disk : facts.disks) {
      // libvirt names what an image is built on only while the VM runs.
      const auto chain = backing_chain_of(disk.disk.path, disk.disk.format);
      const auto& named = disk.disk.backing_chain;
      if (disk.disk.path == path || disk.job_path == path ||
          std::ranges::find(named, path) != named.end() ||
          std::ranges::find(chain, path) != chain.end()) {
        return true;
      }
    }
  }
  const Status free = check_unused(world_, path, uuid());
  if (!free && free.error().code == ErrorCode::kConflict) return true;
  RETURN_IF_ERROR(free);
  return false;
}

bool StorageMove::remove_created() {
  while (!job_.created.empty()) {
    const KnownFile file = job_.created.back();
    const auto used = is_used(file.path);
    if (!used && used.error().code == ErrorCode::kUnavailable) {
      if (!pause_for(kAskAgain)) return false;
      continue;
    }
    if (!used || *used) {
      log::info("Move {}: {} is in use and stays.", job_.move.id, file.path);
    } else if (!file.pool.empty() && file.key.empty()) {
      tell_unknown_volume(world_, job_.move.id, file);
    } else if (!file.pool.empty()) {
      const auto deleted =
          world_.hypervisor.delete_volume(file.pool, volume_of(file.path), file.key);
      if (!deleted && deleted.error().code == ErrorCode::kUnavailable) {
        if (!pause_for(kAskAgain)) return false;
        continue;
      }
      if (!deleted) log::warning("Move {}: {}", job_.move.id, deleted.error().text());
    } else if (const auto identity = identity_to_remove(file, job_.move.started_at); identity) {
      if (auto removed = remove_image(file.path, *identity); !removed)
        log::warning("Move {}: {}", job_.move.id, removed.error().text());
      (void)world_.hypervisor.refresh_pool(std::filesystem::path(file.path).parent_path().string());
    } else if (identity.error().code != ErrorCode::kNotFound) {
      log::warning("Move {}: {}", job_.move.id, identity.error().text());
    }
    job_.created.pop_back();
    if (auto saved = save(); !saved) log::error("Move {}: {}", job_.move.id, saved.error().text());
  }
  return true;
}

}  // namespace drover::move
