// SPDX-License-Identifier: Apache-2.0
#include "move/plan/report_check.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "move/message_json.h"
#include "move/plan/network_disks.h"
#include "preflight/layers.h"

namespace drover::move {
namespace {

using Named = std::tuple<std::string, std::string, std::string>;  // item, path, format

std::unexpected<Error> not_asked(const preflight::Proposal& proposal, const std::string& what) {
  return fail(ErrorCode::kProtocol, "{} answers of {}, which {} does not have.",
              proposal.request.destination, what, proposal.vm.name);
}

bool blocks(const preflight::DestinationReport& report) {
  return std::ranges::any_of(report.findings, [](const Finding& finding) {
    return finding.level == FindingLevel::kBlocker;
  });
}

// As it is, or as the request wants it; what is not copied cannot change.
bool may_become(const preflight::Proposal& proposal, const Disk& disk,
                const DiskPlacement& placement) {
  if (placement.format == disk.format) return true;
  const bool copied = !placement.shared && !is_network(placement);
  return copied && !placement.format.empty() && placement.format == proposal.request.format;
}

Status check_placements(const preflight::Proposal& proposal,
                        const preflight::DestinationReport& report) {
  std::set<std::string> targets;
  for (const DiskPlacement& placement : report.placements) {
    const auto disk = std::ranges::find(proposal.vm.disks, placement.target, &Disk::target);
    // A volume holds a raw disk, whatever it was made of.
    const bool becomes_raw = !placement.destination_pool.empty() && placement.format == "raw";
    const bool known = disk != proposal.vm.disks.end() && disk->device == DiskDevice::kDisk &&
                       disk->pool == placement.source_pool &&
                       (becomes_raw || may_become(proposal, *disk, placement));
    // What a network disk is called is judged apart (network_disks.h).
    const bool ours = known && (is_network(placement) ? disk->kind == DiskKind::kNetwork
                                                      : disk->path == placement.source_path);
    if (!ours || !targets.insert(placement.target).second) {
      return not_asked(proposal,
                       fmt::format("a disk {} ({})", placement.target, placement.source_path));
    }
  }
  if (!report.nvram_destination.empty() && proposal.vm.nvram_path.empty())
    return not_asked(proposal, "UEFI variables");
  return {};
}

// Each layer of the disks that are placed, the memory of each checkpoint, and discs.
std::multiset<Named> files_of(const preflight::Proposal& proposal,
                              const preflight::DestinationReport& report) {
  std::multiset<Named> files;
  for (const Disk& disc : preflight::travelling_discs(proposal.request, proposal.vm))
    files.emplace(disc.target, disc.path, disc.format);
  if (proposal.request.flatten) return files;
  for (const DiskPlacement& placement : report.placements) {
    const auto disk = std::ranges::find(proposal.vm.disks, placement.target, &Disk::target);
    if (disk == proposal.vm.disks.end()) continue;
    for (const DiskLayer& layer : disk->layers)
      files.emplace(placement.target, layer.path, layer.format);
  }
  for (const Checkpoint& checkpoint : proposal.vm.checkpoints) {
    if (!checkpoint.memory_file.empty())
      files.emplace(preflight::memory_item(checkpoint.name), checkpoint.memory_file, "raw");
  }
  return files;
}

Status check_files(const preflight::Proposal& proposal,
                   const preflight::DestinationReport& report) {
  auto expected = files_of(proposal, report);
  for (const FilePlacement& file : report.files) {
    const auto found = expected.find({file.item, file.source_path, file.format});
    if (found == expected.end())
      return not_asked(proposal, fmt::format("a file {} ({})", file.item, file.source_path));
    expected.erase(found);
  }
  if (expected.empty() || !report.takes_items || blocks(report)) return {};
  return fail(ErrorCode::kProtocol, "{} says nothing of {}, which {} needs.",
              proposal.request.destination, std::get<1>(*expected.begin()), proposal.vm.name);
}

Status check_checkpoints(const preflight::Proposal& proposal,
                         const preflight::DestinationReport& report) {
  const auto name = &CheckpointText::name;
  const bool all = std::ranges::equal(proposal.checkpoints, report.checkpoints, {}, name, name);
  if (all || !report.takes_items || blocks(report)) return {};
  return fail(ErrorCode::kProtocol, "{} does not give back the checkpoints of {} as they are.",
              proposal.request.destination, proposal.vm.name);
}

// An earlier Drover there does not know the wish. A volume holds a raw disk of its whole size.
Status check_formats(const preflight::Proposal& proposal,
                     const preflight::DestinationReport& report) {
  const std::string& format = proposal.request.format;
  for (const DiskPlacement& placement : report.placements) {
    const bool is_volume = !placement.destination_pool.empty();
    if (placement.shared || is_volume || is_network(placement)) continue;
    const bool other_format = !format.empty() && placement.format != format;
    if (!other_format && placement.allocation == proposal.request.allocation) continue;
    return fail(ErrorCode::kConflict,
                "{} has an earlier Drover, which does not make of {} what {} wants. Fix: upgrade "
                "Drover there, or leave that option out.",
                proposal.request.destination, placement.target,
                other_format ? "--format" : "--allocation");
  }
  return {};
}

}  // namespace

bool takes_whole_files(std::string_view report) {
  auto reader = ObjectReader::parse(report, "destination's report");
  return reader && reader->flag_or_false(kTakesWholeFiles);
}

bool brings_layers(std::string_view proposal) {
  auto reader = ObjectReader::parse(proposal, "proposal");
  return reader && reader->flag_or_false(kBringsLayers);
}

bool takes_saved_memory(std::string_view report) {
  auto reader = ObjectReader::parse(report, "destination's report");
  return reader && reader->flag_or_false(kTakesSavedMemory);
}

Status check_report(const preflight::Proposal& proposal,
                    const preflight::DestinationReport& report) {
  RETURN_IF_ERROR(check_placements(proposal, report));
  RETURN_IF_ERROR(check_formats(proposal, report));
  RETURN_IF_ERROR(check_files(proposal, report));
  return check_checkpoints(proposal, report);
}

}  // namespace drover::move
