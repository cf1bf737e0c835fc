// SPDX-License-Identifier: Apache-2.0
#include "move/residue/residue.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>

#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "content/ops.h"
#include "move/cold/cold_files.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Less is sent again sooner than it is worth a file that somebody has to understand.
constexpr ByteCount kKeepLeast = mib(64);
constexpr auto kKeepTime = 24h;
constexpr std::size_t kMovesMax = 2;

// Who had the other side of the move that left this behind. Nobody: the journal does not say.
std::string peer_of(World& world, std::string_view move_id) {
  if (const auto text = world.journal.job(journal::Side::kSource, move_id)) {
    const auto job = source_job_from_json(*text);
    return job ? job->move.destination : std::string();
  }
  const auto text = world.journal.job(journal::Side::kDestination, move_id);
  if (!text) return {};
  const auto job = destination_job_from_json(*text);
  return job ? job->peer : std::string();
}

// Of the file meant, under either of its names. Nothing: it is not there.
std::optional<ByteCount> allocated_bytes(const std::string& path, const FileIdentity& identity) {
  const auto seen = see_file(AT_FDCWD, path);
  if (!seen || !seen->regular || seen->identity != identity) return {};
  return ByteCount{seen->allocated_bytes};
}

// For such a copy once more, as the next attempt makes it. A move that failed for want of space
// must not leave the disk full.
bool has_room(const std::string& path, ByteCount bytes) {
  struct statvfs found{};
  const auto folder = std::filesystem::path(path).parent_path();
  if (::statvfs(folder.c_str(), &found) != 0) return false;
  return std::uint64_t{found.f_bavail} * found.f_frsize >= bytes.bytes;
}

std::string age_words(std::chrono::system_clock::duration age) {
  const auto minutes =
      std::max<long>(std::chrono::duration_cast<std::chrono::minutes>(age).count(), 0);
  const auto say = [](long count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  if (minutes < 1) return "less than a minute";
  return minutes < 120 ? say(minutes, "minute") : say(minutes / 60, "hour");
}

}  // namespace

Result<std::vector<QuarantinedDisk>> residue_of(World& world, std::string_view vm_uuid,
                                                std::string_view peer) {
  ASSIGN_OR_RETURN(auto disks, world.journal.quarantine());
  std::erase_if(disks, [&](const QuarantinedDisk& disk) {
    return disk.vm_uuid != vm_uuid || peer.empty() || peer_of(world, disk.move_id) != peer;
  });
  std::ranges::stable_sort(disks, std::greater{}, &QuarantinedDisk::since);
  std::vector<std::string> moves;
  std::erase_if(disks, [&](const QuarantinedDisk& disk) {
    if (std::ranges::find(moves, disk.move_id) != moves.end()) return false;
    if (moves.size() == kMovesMax) return true;
    moves.push_back(disk.move_id);
    return false;
  });
  return disks;
}

bool is_unfinished(World& world, std::string_view move_id) {
  if (world.journal.job(journal::Side::kSource, move_id)) return false;
  const auto text = world.journal.job(journal::Side::kDestination, move_id);
  if (!text) return false;
  const auto job = destination_job_from_json(*text);
  return !job || !job->abandoned;
}

Status keep_abandoned(World& world, const DestinationJob& job, const KnownFile& file,
                      const FileIdentity& identity) {
  QuarantinedDisk disk;
  disk.move_id = job.move_id;
  disk.vm_uuid = job.plan.vm.uuid;
  disk.vm_name = job.plan.vm.name;
  disk.original_path = file.path;
  disk.kept_path = quarantine_path(file.path, job.move_id);
  set_identity(disk, identity);
  const auto here = allocated_bytes(file.path, identity);
  disk.allocated = here ? *here : allocated_bytes(disk.kept_path, identity).value_or(ByteCount{});
  disk.since = std::chrono::system_clock::now();
  RETURN_IF_ERROR(world.journal.add_quarantined(disk));
  const auto kept = quarantine_image(file.path, identity, job.move_id);
  if (kept || kept.error().code == ErrorCode::kNotFound) return {};
  return std::unexpected(kept.error());
}

bool keep_unfinished(World& world, const DestinationJob& job, const KnownFile& file,
                     const FileIdentity& identity) {
  const std::string kept = quarantine_path(file.path, job.move_id);
  const bool half_kept = allocated_bytes(kept, identity).has_value();
  const auto allocated = allocated_bytes(half_kept ? kept : file.path, identity);
  const bool is_disk = file.target != kItemNvram && file.target != kItemStateHead &&
                       file.target != kItemTpm && file.target != kItemSaved &&
                       !file.target.starts_with(kItemLayer);
  if (!is_disk || !allocated) return false;
  const bool worth_it = *allocated >= kKeepLeast && has_room(file.path, *allocated);
  if (!half_kept && !worth_it) return false;
  QuarantinedDisk disk;
  disk.move_id = job.move_id;
  disk.vm_uuid = job.plan.vm.uuid;
  disk.vm_name = job.plan.vm.name;
  disk.original_path = file.path;
  disk.kept_path = kept;
  set_identity(disk, identity);
  disk.allocated = *allocated;
  disk.since = std::chrono::system_clock::now();
  disk.until = disk.since + kKeepTime;
  Status done = world.journal.add_quarantined(disk);
  if (done) {
    const auto renamed = quarantine_image(file.path, identity, job.move_id);
    if (!renamed) done = std::unexpected(renamed.error());
  }
  if (done) {
    log::info("Move {}: the unfinished copy {} is kept for a day.", job.move_id, kept);
    return true;
  }
  // An undo must not fail for what is only convenient.
  log::warning("Move {}: its unfinished copy is not kept: {}", job.move_id, done.error().text());
  (void)remove_image(kept, identity);
  (void)world.journal.remove_quarantined(disk);
  return false;
}

std::vector<UniqueFd> open_residue(World& world, std::string_view vm_uuid, std::string_view peer) {
  const auto disks = residue_of(world, vm_uuid, peer);
  const auto facts = world.hypervisor.host_facts();
  if (!disks || !facts) {
    log::warning("What is left of an earlier move is not used: {}",
                 (disks ? facts.error() : disks.error()).text());
    return {};
  }
  const auto folders = preflight::usable_folders(*facts, world.book.settings());
  std::vector<UniqueFd> files;
  for (const QuarantinedDisk& disk : *disks) {
    if (files.size() == content::kOwnDisksMax) break;
    auto file = open_image(disk.kept_path, identity_of(disk), folders);
    if (file)
      files.push_back(std::move(*file));
    else
      log::warning("{} is not used for the move: {}", disk.kept_path, file.error().text());
  }
  return files;
}

std::optional<Finding> residue_note(World& world, std::string_view vm_uuid, std::string_view peer) {
  const auto disks = residue_of(world, vm_uuid, peer);
  if (!disks || disks->empty()) return {};
  const QuarantinedDisk& disk = disks->front();
  ByteCount allocated;
  for (const QuarantinedDisk& other : *disks) {
    if (other.move_id == disk.move_id) allocated += other.allocated;
  }
  const std::string_view what = is_unfinished(world, disk.move_id) ? "an unfinished copy of " : "";
  const auto age = std::chrono::system_clock::now() - disk.since;
  return Finding{std::string(preflight::code_name(preflight::Code::kResidueUsed)),
                 FindingLevel::kNote,
                 disk.vm_name,
                 fmt::format("{} still has {}{}'s disks of {} ago ({}).", world.host_name, what,
                             disk.vm_name, age_words(age), to_text(allocated)),
                 "Only what changed since will travel.",
                 {}};
}

}  // namespace drover::move
