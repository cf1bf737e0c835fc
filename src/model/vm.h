// SPDX-License-Identifier: Apache-2.0
// A VM and what it is made of, as Drover speaks of it. Plain values; the hypervisor adapter fills
// them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"

namespace drover {

enum class VmState { kRunning, kPaused, kOff, kIncoming, kCrashed, kOther };
// For people: "running", "arriving", "in another state". The API has its own names.
std::string_view vm_state_words(VmState state);

enum class DiskKind { kFile, kBlock, kVolume, kNetwork, kOther };
enum class DiskDevice { kDisk, kCdrom, kFloppy, kLun };

// A file that a disk's image is built on. Nobody writes it while an image is built on it.
struct DiskLayer {
  std::string path;
  std::string format;  // as the layer above it says, or as the file itself looks: "qcow2", "raw"
  ByteCount virtual_size;
  ByteCount allocated;
  ByteCount cluster_size;  // qcow2 only, else 0
};

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
  std::vector<DiskLayer> layers = {};      // the same, measured; empty: not a chain, or not known
  // Of a block device that is a volume of a libvirt pool (logical, disk): that pool; else empty.
  std::string pool = {};
};

// What holds discs or floppies that come and go.
inline bool is_drive(const Disk& disk) {
  return disk.device == DiskDevice::kCdrom || disk.device == DiskDevice::kFloppy;
}

// A state of the VM that libvirt can go back to: its snapshot.
struct Checkpoint {
  std::string name;
  std::string parent;  // its name; empty: none
  std::chrono::system_clock::time_point made_at;
  bool current = false;                     // the VM's state follows from this one
  std::vector<std::string> internal_disks;  // targets whose own image holds it
  std::vector<std::string> external_disks;  // targets that got a new image, built on the former one
  std::string memory_file;  // where its memory lies, as a file of its own; empty: in an image, or
                            // it has none
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
  std::vector<Checkpoint> checkpoints = {};  // `snapshots` of them; empty: they were not read
};

}  // namespace drover
