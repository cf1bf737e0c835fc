// SPDX-License-Identifier: Apache-2.0
// Small things of a VM that comes: discs that it brings the name of, whether what lies here under
// that name is the same; and cards that a network here gives it (hypervisor/teaming.h).
#include <algorithm>

#include "base/log.h"
#include "content/file_digest.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "move/destination/destination_side.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

Result<std::string> sample_of(const std::string& path, const std::vector<std::string>& folders) {
  ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(path));
  ASSIGN_OR_RETURN(const UniqueFd file, open_image(path, identity, folders));
  return content::file_sample(file.get());
}

}  // namespace

// Where files may lie that the destination's administrator allows; of others no more is said than
// that there is one. Samples that agree are as much as a plan can know.
void DestinationSide::look_at_media(const preflight::Proposal& proposal,
                                    const HostSettings& settings,
                                    preflight::DestinationReport& report) const {
  const auto domain = parse_domain(proposal.live_xml);
  if (!domain) return;
  const auto folders = preflight::usable_folders(report.host, settings);
  for (Finding& finding : report.findings) {
    if (finding.code != preflight::code_name(preflight::Code::kMediaInserted) ||
        finding.level != FindingLevel::kWarning) {
      continue;
    }
    const auto drive = std::ranges::find_if(
        domain->disks, [&](const DiskFacts& facts) { return facts.disk.target == finding.object; });
    if (drive == domain->disks.end()) continue;
    const std::string& path = drive->disk.path;
    const auto theirs = std::ranges::find(proposal.samples, path, &preflight::FileSample::path);
    if (theirs == proposal.samples.end()) continue;
    const auto ours = sample_of(path, folders);
    if (!ours) continue;
    if (*ours == theirs->digest) {
      finding.level = FindingLevel::kNote;
      finding.what = fmt::format("{} is in the drive {}, and {} has the same file.", path,
                                 finding.object, world_.host_name);
      finding.why = "The guest reads the same disc after the move.";
      finding.fixes.clear();
    } else {
      finding.what = fmt::format("{} is in the drive {}, and {} has another file of that name.",
                                 path, finding.object, world_.host_name);
      finding.why = "The guest would read another disc after the move.";
    }
  }
}

// Once the VM runs here. May be said again. An error keeps nothing from going on: its virtio card
// works, and at its next boot it has the other one too.
void DestinationSide::plug_teamed(const Entry& entry) const {
  if (entry.job.plan.kind == MoveKind::kOffline) return;
  const auto devices = teamed_devices(entry.job.persistent_xml);
  if (!devices) return;
  for (const TeamedDevice& device : *devices) {
    if (!device.of_network) continue;
    if (auto plugged = world_.hypervisor.plug(entry.job.plan.vm.uuid, device); !plugged) {
      log::warning("Move {}: {} has no card {} here yet: {} Fix: virsh attach-device.",
                   entry.job.move_id, entry.job.plan.vm.name, device.label, plugged.error().text());
    }
  }
}

}  // namespace drover::move
