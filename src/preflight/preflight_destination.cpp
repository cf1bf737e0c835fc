// SPDX-License-Identifier: Apache-2.0
// The list of the destination's checks, and the definitions the VM would have there.
#include <algorithm>

#include <fmt/core.h>

#include "hypervisor/adapt_definition.h"
#include "preflight/destination_view.h"
#include "preflight/layers.h"
#include "preflight/volumes.h"

namespace drover::preflight {
namespace {

void run_checks(const DestinationView& view, Findings& findings) {
  check_destination_host(view, findings);
  check_identity(view, findings);
  check_machine(view, findings);
  check_versions(view, findings);
  check_cpu(view, findings);
  check_memory(view, findings);
  check_folders(view, findings);
  check_paths(view, findings);
  check_formats(view, findings);
  check_files(view, findings);
  check_shared_chains(view, findings);
  check_internal_checkpoints(view, findings);
  check_space(view, findings);
  check_destination_volumes(view, findings);
  check_media(view, findings);
  check_host_files(view, findings);
  check_tpm_program(view, findings);
  check_tpm_place(view, findings);
  check_networks(view, findings);
  check_graphics(view, findings);
  check_interface_map(view, findings);
  check_guest_subnets(view, findings);
  check_mtu(view, findings);
  check_macs(view, findings);
  check_huge_pages(view, findings);
  check_numa(view, findings);
  check_pinning(view, findings);
  check_secrets(view, findings);
  check_image_owner(view, findings);
}

// The persistent definition may name other files, or lack a disk that was plugged in: only what is
// the same disk there is placed (PERSISTENT_DIFFERS tells of the rest).
std::vector<DiskPlacement> placed_in(const DomainFacts& domain,
                                     const std::vector<DiskPlacement>& placements) {
  std::vector<DiskPlacement> matching;
  for (const auto& placement : placements) {
    const bool same =
        std::any_of(domain.disks.begin(), domain.disks.end(), [&](const DiskFacts& facts) {
          return facts.disk.target == placement.target &&
                 (facts.disk.path == placement.source_path ||
                  (facts.disk.kind == DiskKind::kVolume && !is_drive(facts.disk)));
        });
    if (same) matching.push_back(placement);
  }
  return matching;
}

// All that has a place in a definition: the disks, and discs that travel.
std::vector<DiskPlacement> with_discs(const DestinationView& view) {
  std::vector<DiskPlacement> placements = view.placements;
  for (const FilePlacement& file : view.files) {
    if (!is_disc(view.proposal.vm, file)) continue;
    placements.push_back({file.item, file.source_path, file.destination_path, file.format,
                          file.virtual_size, file.allocated, file.cluster_size, file.shared});
  }
  return placements;
}

// The QEMU that takes a running disk in is told how to write its image, for as long as it runs;
// what the VM is started from later stays as it was.
Status adapt(const DestinationView& view, DestinationReport& report) {
  const auto running = with_discs(view);
  auto placements = running;
  for (DiskPlacement& placement : placements) placement.allocation.reset();
  const MoveKind kind = view.proposal.request.kind.value_or(MoveKind::kLive);
  ASSIGN_OR_RETURN(report.destination_xml,
                   adapt_definition(view.live_xml, kind == MoveKind::kLive ? running : placements,
                                    view.nvram_destination));
  if (!view.persistent) return {};
  ASSIGN_OR_RETURN(report.persistent_xml,
                   adapt_definition(view.persistent_xml, placed_in(*view.persistent, placements),
                                    view.nvram_destination));
  return {};
}

}  // namespace

Result<DestinationReport> check_destination(const Proposal& proposal, Hypervisor& hypervisor,
                                            const HostSettings& settings) {
  DestinationReport report;
  Findings findings;
  auto host = hypervisor.host_facts();
  if (!host) {
    report.host.name = proposal.request.destination;
    report.host.settings = settings;
    findings.blocker(Code::kHypervisorDown, report.host.name,
                     fmt::format("libvirt does not answer on {}.", report.host.name),
                     host.error().text(),
                     {fmt::format("On {}: systemctl status libvirtd", report.host.name),
                      fmt::format("On {}: systemctl restart libvirtd", report.host.name)});
    report.findings = findings.take();
    return report;
  }
  report.host = std::move(*host);
  report.host.settings = settings;
  // The name that the user knows this host by, not the one it gives itself.
  if (!proposal.request.destination.empty()) report.host.name = proposal.request.destination;
  ASSIGN_OR_RETURN(DestinationView view, gather(proposal, hypervisor, report.host));
  run_checks(view, findings);
  report.placements = view.placements;
  report.files = view.files;
  report.marks = view.marks;
  report.nvram_destination = view.nvram_destination;
  if (!findings.blocked()) RETURN_IF_ERROR(adapt(view, report));
  report.findings = findings.take();
  return report;
}

}  // namespace drover::preflight
