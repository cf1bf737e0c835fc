// SPDX-License-Identifier: Apache-2.0
// The way back of a storage move, after which no copy goes on and no image is left that no disk
// uses. Every part may run twice.
#include <algorithm>
#include <filesystem>

#include <fcntl.h>

#include "base/log.h"
#include "base/random.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "move/quarantine.h"
#include "move/retry.h"
#include "move/storage_move.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 1s;
constexpr auto kLookInterval = 100ms;
// An image that was being made when droverd died holds no more than a header.
constexpr std::uint64_t kUnbornMost = 1u << 20;

// By what it is, or, where that could not be written down any more, by being as good as empty.
Result<FileIdentity> identity_to_remove(const KnownFile& file) {
  if (file.inode != 0) return identity_of(file);
  auto seen = see_file(AT_FDCWD, file.path);
  if (!seen) return fail(ErrorCode::kNotFound, "{} was never made.", file.path);
  if (!seen->regular || seen->allocated_bytes > kUnbornMost)
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
  if (!remove_created()) return false;
  fence_.reset();
  return true;
}

// The move waits for its turn again. Once a disk has been switched the plan is another one, and a
// person decides.
bool StorageMove::try_again(const Error& error) {
  if (cancel_asked_ || !job_.switched.empty() || !job_.created.empty()) return false;
  const auto now = std::chrono::system_clock::now();
  const auto when = next_attempt(job_.move, error, world_.book.settings(), now);
  if (!when) return false;
  log::warning("Move {} of {}: attempt {} failed and was undone, another follows: {}", job_.move.id,
               vm_name(), job_.move.attempts.size() + 1, error.text());
  job_.files.clear();
  job_.begun.clear();
  change([&](Move& move) {
    move.attempts.push_back({move.epoch, std::string(phase_name(move.phase)), error, now});
    move.epoch = random_name(move.epoch.size());
    move.phase = Phase::kPlan;
    move.phases.clear();
    move.progress = {};
    move.explanation.clear();
    move.queue = QueuePlace{move.plan.request.priority, false, 0, "", move.started_at, when, {}};
  });
  world_.slots.give_back(Slots::Way::kStorage, job_.move.id);
  waits_again_ = true;
  changed_(MoveChange::kProgress, snapshot());  // the queue looks for it
  return true;
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

// A definition of this VM, or of another, or a chain, names the file.
Result<bool> StorageMove::is_used(const std::string& path) {
  for (const DefinitionKind kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
    const auto xml = world_.hypervisor.definition(uuid(), kind);
    if (!xml && xml.error().code == ErrorCode::kUnavailable) return std::unexpected(xml.error());
    if (!xml) continue;
    ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(*xml));
    for (const DiskFacts& disk : facts.disks) {
      const auto& chain = disk.disk.backing_chain;
      if (disk.disk.path == path || disk.job_path == path ||
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
    } else if (const auto identity = identity_to_remove(file); identity) {
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
