// SPDX-License-Identifier: Apache-2.0
// A disk of a running VM, written by its own QEMU into an NBD export and kept equal to it from then
// on, without libvirt: for moves that end with the guest saved, not migrated. It goes on when
// droverd ends; end_mirrors() of the next one finds it. One thread.
#pragma once

#include <filesystem>
#include <string>

#include "base/byte_count.h"
#include "base/error.h"
#include "hypervisor/hypervisor.h"

namespace drover::move {

struct MirrorCall {
  std::string uuid;
  std::string move;              // 8 characters: names what is ours in QEMU
  std::string target;            // "vda": the disk, and the export
  std::filesystem::path socket;  // QEMU may connect to it
};

class DiskMirror {
 public:
  // kHypervisor: QEMU refuses; kNotFound: no such disk.
  static Result<DiskMirror> begin(Hypervisor& hypervisor, const MirrorCall& call);

  struct Progress {
    bool ready = false;  // what is written from now on goes to both
    ByteCount done, total;
  };
  // kHypervisor: QEMU has given it up.
  Result<Progress> progress();
  // Ends it, equal to the disk, once everything is written and flushed there. REQUIRES: it is ready
  // and the guest stands still. kTimeout: that took longer than `limit`.
  Status finish(std::chrono::milliseconds limit);
  const std::string& target() const { return call_.target; }

 private:
  DiskMirror(Hypervisor& hypervisor, MirrorCall call)
      : hypervisor_(&hypervisor), call_(std::move(call)) {}
  Hypervisor* hypervisor_;
  MirrorCall call_;
};

// All mirrors of this move end at once, whatever they have written. None is success, as is a VM
// that does not run.
Status end_mirrors(Hypervisor& hypervisor, const std::string& uuid, const std::string& move);

}  // namespace drover::move
