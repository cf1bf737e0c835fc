// SPDX-License-Identifier: Apache-2.0
// Pictures of a running VM's disks: what all of them held at one instant, for reading while the
// guest goes on. A picture belongs to the VM's QEMU: it stays without us, and ends with the QEMU.
// hypervisor/libvirt has the real ones. Any thread may call any function.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

struct PictureDisk {
  std::string target;    // "vda"
  std::string scratch;   // an empty qcow2 image of the disk's size, made for this: QEMU keeps there
                         // what the guest overwrites
  bool layered = false;  // served a second time, as layers_export(), with its "allocation-depth":
                         // 1 is the scratch image, 2 the disk's own, more what that is based on
};

inline std::string layers_export(const std::string& target) { return target + ".layers"; }

struct PictureCall {
  std::string uuid;
  std::string socket;  // a path that QEMU's user may bind, at which QEMU serves it
  std::vector<PictureDisk> disks;
};

class DiskPictures {
 public:
  virtual ~DiskPictures() = default;

  // Has QEMU serve the disks, read-only by NBD, each under its target's name. Meanwhile the VM
  // cannot be moved, saved or given a snapshot. kConflict: it does not run, or another job is under
  // way.
  virtual Status begin(const PictureCall& call) = 0;
  // Waits until QEMU serves nothing any more and uses no scratch image. No picture at this socket
  // is success, as is a VM that does not run; another program's is left alone.
  virtual Status end(std::string_view uuid, const std::string& socket) = 0;
};

}  // namespace drover
