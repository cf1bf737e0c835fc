// SPDX-License-Identifier: Apache-2.0
// libvirt's pools whose volumes are block devices: "logical" (LVM) and "disk" (partitions). Any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"

namespace drover {

struct VolumePool {
  std::string name;
  std::string type;    // "logical", "disk"
  std::string folder;  // its volumes are FOLDER/NAME
  std::string device;  // of a pool of partitions: the disk that they are of
  ByteCount free;
  std::vector<std::string> volumes;  // the names of all
};

struct Volume {
  std::string path;
  std::string key;  // libvirt's, of this very volume
  ByteCount capacity;
};

// Of a pool's type: its volumes are block devices that only its host has. What several hosts may
// see (iscsi, scsi, mpath) is not meant.
bool holds_volumes(std::string_view pool_type);

// QEMU's driver of what lies there: "host_device" of a block device, else "file".
std::string_view storage_driver(const std::string& path);

// What a new volume for a disk of a VM is called. Partitions have numbers, of which the next one is
// the lowest that is free; a logical volume is VM-TARGET, in letters that LVM allows.
std::string volume_name(const VolumePool& pool, std::string_view vm, std::string_view target);

}  // namespace drover
