// SPDX-License-Identifier: Apache-2.0
// A VM and what it is made of, as Drover speaks of it. Plain values; the hypervisor adapter fills
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/byte_count.h"

namespace drover {

enum class VmState { kRunning, kPaused, kOff, kIncoming, kCrashed, kOther };

enum class DiskKind { kFile, kBlock, kVolume, kNetwork, kOther };
enum class DiskDevice { kDisk, kCdrom, kFloppy, kLun };

struct Disk {
  std::string target;  // "vda": libvirt's name of it within the VM
  DiskKind kind = DiskKind::kFile;
  DiskDevice device = DiskDevice::kDisk;
  std::string path;  // absolute path or block device; empty: nothing inserted, or not a local path
  std::string format;  // "qcow2", "raw", ...
  ByteCount virtual_size;
  ByteCount allocated;
  ByteCount cluster_size;  // qcow2 only, else 0
  bool read_only = false;
  bool shareable = false;
  std::vector<std::string> backing_chain;  // paths below `path`, nearest first
};

struct Vm {
  std::string uuid;  // lower-case with dashes
  std::string name;
  std::string host;  // the paired host's name it lives on
  VmState state = VmState::kOther;
  bool persistent = true;
  bool autostart = false;
  ByteCount memory;
  std::uint32_t vcpus = 0;
  std::string domain_type;  // "kvm", "qemu"
  std::string machine;      // "pc-q35-7.2"
  std::string nvram_path;   // empty: none
  std::uint32_t snapshots = 0;
  std::vector<Disk> disks;
  std::string move_id;                   // a move under way, else empty
  std::string remark;                    // what other tools did to it, for people; empty: nothing
  bool saved = false;                    // off, and its memory is kept on disk: virsh managedsave
  std::vector<std::string> labels = {};  // words of its administrator (docs/queue.md), sorted
};

}  // namespace drover
