// SPDX-License-Identifier: Apache-2.0
// Everything the destination's checks look at, gathered once, and the list of those checks, which
// are pure. Private to src/preflight.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/adapt_interfaces.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/hypervisor.h"
#include "preflight/finding.h"
#include "preflight/local_files.h"
#include "preflight/preflight.h"

namespace drover::preflight {

struct DestinationView {
  explicit DestinationView(const Proposal& for_proposal) : proposal(for_proposal) {}

  const Proposal& proposal;
  std::vector<InterfaceTarget> targets;          // where interfaces are plugged in here
  std::vector<InterfaceFacts> interfaces_there;  // of the source, as they are plugged in there
  std::string live_xml, persistent_xml;          // with interfaces as they are here
  DomainFacts live;                              // likewise
  std::optional<DomainFacts> persistent;
  HostFacts host;  // with settings
  bool tls_forced = false;
  bool swtpm_there = true;
  std::string tpm_state;  // of this VM, that is there already; empty: none
  std::vector<Vm> vms;    // that are here already
  std::vector<DiskPlacement> placements;
  std::vector<FilePlacement> files;
  std::vector<DiskMark> marks;                    // the source's, found on images here
  std::map<std::string, std::string> unmarkable;  // destination paths: why none can be found
  std::string nvram_destination;
  std::vector<FolderFacts> folders;      // that placements land in, each once
  std::map<std::string, bool> taken;     // destination paths: something is there
  std::map<std::string, bool> readable;  // files the definition names: they can be read here
  std::map<std::string, bool> devices;   // network devices the definition names: they exist here
  std::vector<VolumePool> volume_pools;  // of block devices, that disks land in, with their names
  std::vector<std::string> addresses;    // of this host
  std::map<std::string, std::string> macs_here;  // of other VMs, in small letters: whose
  std::optional<ByteCount> huge_pages_free;  // of the size that the VM wants; nothing: none such
  std::string nodes_online, cpus_online;     // sets as the kernel writes them; empty: unknown
  std::optional<std::vector<std::string>> secrets;  // nothing: could not be listed
  bool gives_images = true;                         // libvirt makes QEMU's user the owner of images
  std::string qemu_user;
  std::optional<CpuComparison> cpu;  // nothing: could not be compared
  std::string cpu_error;
  std::vector<std::string> cpu_missing;

  const std::string& name() const { return live.vm.name; }
  const HostSettings& settings() const { return host.settings; }
  const FolderFacts* folder(const std::string& path) const {
    for (const auto& facts : folders) {
      if (facts.path == path) return &facts;
    }
    return nullptr;
  }
};

// An error: the definition cannot be read. REQUIRES: `host` was gathered from `hypervisor` already.
Result<DestinationView> gather(const Proposal& proposal, Hypervisor& hypervisor, HostFacts host);

// destination_host.cpp
void check_destination_host(const DestinationView& view, Findings& findings);
void check_versions(const DestinationView& view, Findings& findings);
void check_machine(const DestinationView& view, Findings& findings);
void check_cpu(const DestinationView& view, Findings& findings);
void check_memory(const DestinationView& view, Findings& findings);
void check_identity(const DestinationView& view, Findings& findings);
// destination_disks.cpp
void check_folders(const DestinationView& view, Findings& findings);
void check_paths(const DestinationView& view, Findings& findings);
void check_formats(const DestinationView& view, Findings& findings);
void check_space(const DestinationView& view, Findings& findings);
void check_media(const DestinationView& view, Findings& findings);
// layers.cpp
void check_files(const DestinationView& view, Findings& findings);
void check_shared_chains(const DestinationView& view, Findings& findings);
void check_internal_checkpoints(const DestinationView& view, Findings& findings);
// destination_devices.cpp
void check_host_files(const DestinationView& view, Findings& findings);
void check_tpm_program(const DestinationView& view, Findings& findings);
void check_tpm_place(const DestinationView& view, Findings& findings);
void check_networks(const DestinationView& view, Findings& findings);
void check_graphics(const DestinationView& view, Findings& findings);
// destination_networks.cpp
void check_interface_map(const DestinationView& view, Findings& findings);
void check_guest_subnets(const DestinationView& view, Findings& findings);
void check_mtu(const DestinationView& view, Findings& findings);
void check_macs(const DestinationView& view, Findings& findings);
// destination_resources.cpp
void check_huge_pages(const DestinationView& view, Findings& findings);
void check_numa(const DestinationView& view, Findings& findings);
void check_pinning(const DestinationView& view, Findings& findings);
void check_secrets(const DestinationView& view, Findings& findings);
void check_image_owner(const DestinationView& view, Findings& findings);

}  // namespace drover::preflight
