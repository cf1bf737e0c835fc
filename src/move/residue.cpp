// SPDX-License-Identifier: Apache-2.0
#include "move/residue.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "content/ops.h"
#include "hypervisor/disk_image.h"
#include "move/job.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

// Who had the other side of the move that left this behind. Nobody: the journal does not say.
std::string peer_of(World& world, std::string_view move_id) {
  const auto text = world.journal.job(journal::Side::kSource, move_id);
  if (!text) return {};
  const auto job = source_job_from_json(*text);
  return job ? job->move.destination : std::string();
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
  const auto newest = std::ranges::max_element(disks, {}, &QuarantinedDisk::since);
  if (newest == disks.end()) return disks;
  const std::string move = newest->move_id;
  std::erase_if(disks, [&](const QuarantinedDisk& disk) { return disk.move_id != move; });
  return disks;
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
    if (files.size() == content::kHeldFilesMax) break;
    auto file = open_image(disk.kept_path, {disk.device, disk.inode}, folders);
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
  ByteCount allocated;
  for (const QuarantinedDisk& disk : *disks) allocated += disk.allocated;
  const QuarantinedDisk& disk = disks->front();
  const auto age = std::chrono::system_clock::now() - disk.since;
  return Finding{std::string(preflight::code_name(preflight::Code::kResidueUsed)),
                 FindingLevel::kNote,
                 disk.vm_name,
                 fmt::format("{} still has {}'s disks of {} ago ({}).", world.host_name,
                             disk.vm_name, age_words(age), to_text(allocated)),
                 "Only what changed since will travel.",
                 {}};
}

}  // namespace drover::move
