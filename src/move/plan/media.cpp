// SPDX-License-Identifier: Apache-2.0
#include "move/plan/media.h"

#include <algorithm>

#include "hypervisor/domain_xml.h"
#include "hypervisor/new_identity.h"
#include "preflight/codes.h"

namespace drover::move {
namespace {

// What can be inserted again by its path.
bool is_medium(const Disk& disk) {
  return is_drive(disk) && disk.kind == DiskKind::kFile && !disk.path.empty();
}

constexpr const char* kWithout = "--media eject moves the VM without it.";

// Another device than the drive itself may hold it; then this definition has none.
Result<std::string> emptied(const std::string& definition, std::vector<Disk>& found) {
  if (definition.empty()) return definition;
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
  std::vector<std::string> targets;
  for (const DiskFacts& facts : domain.disks) {
    if (!is_medium(facts.disk)) continue;
    targets.push_back(facts.disk.target);
    if (std::ranges::find(found, facts.disk.target, &Disk::target) == found.end())
      found.push_back(facts.disk);
  }
  return without_media(definition, targets);
}

}  // namespace

std::vector<Disk> media_in(const Vm& vm) {
  std::vector<Disk> media;
  std::ranges::copy_if(vm.disks, std::back_inserter(media), is_medium);
  return media;
}

Status take_media_out(preflight::SourceView& view, std::vector<Finding>& findings) {
  if (view.request.media != Media::kEject) return {};
  std::vector<Disk> found;
  ASSIGN_OR_RETURN(view.live_xml, emptied(view.live_xml, found));
  ASSIGN_OR_RETURN(view.persistent_xml, emptied(view.persistent_xml, found));
  const bool off = view.vm.state == VmState::kOff;
  for (const Disk& disk : found) {
    findings.push_back(
        {std::string(preflight::code_name(preflight::Code::kMediaEjected)),
         FindingLevel::kNote,
         disk.target,
         fmt::format("The drive {} of {} is empty at {}; {} stays here.", disk.target, view.vm.name,
                     view.request.destination, disk.path),
         off ? "It was asked for (--media eject)."
             : "It was asked for (--media eject): the disc is taken out when the copy begins, also "
               "if the guest has locked the drive, and inserted again if the move is undone.",
         {}});
  }
  return {};
}

Finding disc_comes(const FilePlacement& disc, const std::string& destination) {
  return {std::string(preflight::code_name(preflight::Code::kMediaCopied)),
          FindingLevel::kNote,
          disc.item,
          fmt::format("{} is in the drive {}, is not on {} and is brought along, as {}.",
                      disc.source_path, disc.item, destination, disc.destination_path),
          "It was asked for (--media copy): it is sent before the disks, once, and stays on both "
          "hosts.",
          {}};
}

Finding disc_is_unreadable(const FilePlacement& disc, const std::string& source) {
  return {std::string(preflight::code_name(preflight::Code::kMediaInserted)),
          FindingLevel::kBlocker,
          disc.item,
          fmt::format("{} is in the drive {} and cannot be read on {}.", disc.source_path,
                      disc.item, source),
          "What cannot be read cannot be brought along (--media copy).",
          {kWithout}};
}

Finding disc_is_another(const FilePlacement& disc, const std::string& destination) {
  return {std::string(preflight::code_name(preflight::Code::kDiskExists)),
          FindingLevel::kBlocker,
          disc.item,
          fmt::format("{} exists on {} already, and is not the disc in the drive {}.",
                      disc.destination_path, destination, disc.item),
          "The guest would read another disc; Drover never overwrites a file.",
          {fmt::format("Choose another folder with --item {}=FOLDER.", disc.item),
           fmt::format("If nothing uses it, on {}: rename it.", destination), kWithout}};
}

void require_media(const MoveRequest& request, std::vector<Finding>& findings) {
  if (request.media != Media::kRequire) return;
  for (Finding& finding : findings) {
    if (finding.code != preflight::code_name(preflight::Code::kMediaInserted) ||
        finding.level != FindingLevel::kWarning) {
      continue;
    }
    finding.level = FindingLevel::kBlocker;
    finding.why = "The same disc was required (--media require), and it is not shown to be that.";
    finding.fixes.emplace_back("Copy the disc's file to the destination, to the same path.");
    finding.fixes.emplace_back(kWithout);
  }
}

}  // namespace drover::move
