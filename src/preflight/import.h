// SPDX-License-Identifier: Apache-2.0
// Checks of an import: whether a VM that was exported can be defined on this host, and where its
// files land (docs/export.md). The checks are those of a destination of a move, but for what
// concerns only moves. Reads only. Any thread.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/hypervisor.h"
#include "model/archive.h"
#include "model/host.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::preflight {

// A disk's image in the folder, looked at.
struct ImportedDisk {
  std::string target;  // "vda"; "vda.1": what that one is based on
  std::string file;    // its name in the folder
  std::string path;    // its whole path
  std::string format;
  ByteCount virtual_size;  // as the manifest says; 0: there is none
  Result<ImageFacts> facts = ImageFacts{};
  // The file of the folder that it is based on, and that one's format; empty: on none.
  std::string below = {}, below_format = {};
};

struct ImportView {
  ArchiveRequest request;
  std::string host;        // this one, as its users call it
  std::string definition;  // as it shall be but for where its disks land: they have, in some
                           // folder, the file names that they shall have
  std::string memory_definition = {};  // with which its memory goes on; empty: none is imported
  std::string memory_left = {};        // why the folder's memory is not; empty: it is, or has none
  HostFacts source;                    // where it was exported: versions, 0 if not known
  bool has_manifest = false;
  std::vector<ImportedDisk> disks;
  ByteCount checkpoint_memory;               // files that land beside the first disk
  std::vector<std::string> damaged;          // what is missing or has another size: sentences
  std::vector<std::string> ejected;          // media that are not on this host: "/iso/a.iso (sda)"
  std::vector<Vm> elsewhere;                 // VMs of paired hosts
  std::map<std::string, std::string> users;  // files that would be used where they lie, and a VM of
                                             // this host that has them
};

// Without the definitions: what was found is not decided yet.
Result<DestinationReport> check_import(const ImportView& view, Hypervisor& hypervisor,
                                       const HostSettings& settings);

// What the administrator's rules have against the definition, as findings.
std::vector<Finding> refused_definition(std::string_view vm, std::span<const std::string> why);

// What would be made is there already.
Finding place_taken(const ImportView& view, const ArchiveItem& item);
// Why the VM is imported without its checkpoints.
Finding checkpoints_refused(const ImportView& view, const std::string& why);

// Blockers first, then warnings, then notes.
void sort_findings(std::vector<Finding>& findings);

}  // namespace drover::preflight
