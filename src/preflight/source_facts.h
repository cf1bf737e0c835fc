// SPDX-License-Identifier: Apache-2.0
// What the source's checks look at, read once, and the list of those checks. Private to
// src/preflight.
#pragma once

#include <optional>

#include "hypervisor/domain_xml.h"
#include "preflight/finding.h"
#include "preflight/preflight.h"

namespace drover::preflight {

struct SourceFacts {
  const SourceView& view;
  DomainFacts live;
  std::optional<DomainFacts> persistent;
  const std::string& name() const { return view.vm.name; }
};

// source_vm.cpp
void check_vm_state(const SourceView& view, Findings& findings);
void check_source_host(const SourceView& view, Findings& findings);
void check_hypervisor_up(const SourceView& view, Findings& findings);
void check_name_length(const SourceView& view, Findings& findings);
void check_persistent(const SourceFacts& facts, Findings& findings);
// source_checkpoints.cpp
void check_checkpoints(const SourceView& view, Findings& findings);
// Of a storage move; `facts` has only the disks that move.
void check_moved_checkpoints(const SourceFacts& facts, Findings& findings);
void check_chain(const SourceFacts& facts, const Disk& image, const std::string& object,
                 const std::vector<std::string>& chain, Findings& findings);
// source_disks.cpp
void check_disk_kinds(const SourceFacts& facts, Findings& findings);
void check_disk_images(const SourceFacts& facts, Findings& findings);
// source_devices.cpp
void check_host_devices(const SourceFacts& facts, Findings& findings);
void check_shared_things(const SourceFacts& facts, Findings& findings);
void check_interfaces(const SourceFacts& facts, Findings& findings);
void check_tpm(const SourceFacts& facts, Findings& findings);

}  // namespace drover::preflight
