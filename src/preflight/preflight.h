// SPDX-License-Identifier: Apache-2.0
// Preflight: everything that can be known before a move, as findings with their fixes. Source
// checks run on the source's droverd, destination checks on the destination's. Reads only. Any
// thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/image_mark.h"
#include "model/host.h"
#include "model/plan.h"
#include "model/vm.h"

namespace drover::preflight {

// What the source's checks look at.
struct SourceView {
  Vm vm;  // as Hypervisor::find_vm gives it, with `move_id` filled by the caller
  std::string live_xml;
  std::string persistent_xml;  // empty: the VM is transient
  HostFacts host;              // with `settings`
  MoveRequest request;
  bool tls_forced = false;  // qemu_conf().tls_forced of this host
  bool peer_known = true;   // request.destination is a paired host that we may send to
  std::vector<CheckpointText> checkpoints = {};  // all of the VM's
};

// A disk's image that the source has marked while it asks (hypervisor/image_mark.h).
struct DiskMark {
  std::string target;
  ImageMark where;
};

// What a file looks like without reading all of it (content/file_digest.h).
struct FileSample {
  std::string path;  // at the source
  ByteCount length;
  std::string digest;
};

// What travels to the destination for its checks.
struct Proposal {
  Vm vm;
  std::string live_xml;
  std::string persistent_xml;
  MoveRequest request;
  HostFacts source;
  std::vector<DiskMark> marks = {};  // where each begins; how long it is has to be found. Of a
                                     // layer the target is its path
  std::vector<GuestAddress> guest_addresses = {};  // as far as the source knows any
  std::vector<FileSample> samples = {};            // of the files that travel before the disks
  std::vector<CheckpointText> checkpoints = {};    // all of the VM's
};

// What the destination answers: its findings, and where everything would land.
struct DestinationReport {
  std::vector<Finding> findings;
  std::vector<DiskPlacement> placements;
  std::vector<FilePlacement> files = {};
  std::string nvram_destination;  // empty: the VM has none
  std::string destination_xml;    // empty when a blocker kept it from being made
  std::string persistent_xml;
  HostFacts host;                    // with `settings`
  std::vector<DiskMark> marks = {};  // found on the images of shared placements, and on layers
  std::vector<CheckpointText> checkpoints = {};  // adapted; those that it takes
  bool takes_items = false;  // it knows of files and checkpoints; earlier versions do not
};

std::vector<Finding> check_source(const SourceView& view);
// The pools of block devices on `host` that the request names. An error: one cannot be read.
Result<std::vector<VolumePool>> volume_pools_asked(const MoveRequest& request,
                                                   const HostFacts& host, Hypervisor& hypervisor);
// An error only when nothing can be said at all; a hypervisor that is down is a finding.
Result<DestinationReport> check_destination(const Proposal& proposal, Hypervisor& hypervisor,
                                            const HostSettings& settings);

}  // namespace drover::preflight
