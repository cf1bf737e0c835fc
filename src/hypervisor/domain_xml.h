// SPDX-License-Identifier: Apache-2.0
// Reads a libvirt domain definition: the Vm, and what preflight asks about beyond it. Pure; any
// thread. The text may come from a peer: it is bounded in size and depth, and nothing in it is
// trusted to be well-formed libvirt.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/vm.h"

namespace drover {

inline constexpr std::size_t kDefinitionBytesMax =
    4u << 20;                                   // the API's body limit; real ones have 5-50 KiB
inline constexpr int kDefinitionDepthMax = 64;  // real ones have less than 20

// A secret that libvirt keeps, as a definition names it: by UUID, or by what it is for.
struct SecretName {
  std::string uuid;         // empty: by usage
  std::string type, usage;  // network_disk_secret_type(), and its name among those
};

struct NetworkServer {
  std::string host, port;  // the latter may be empty
};

// What QEMU opens over the network, as a definition names it.
struct NetworkSource {
  std::string protocol;          // "nbd", "rbd", ...
  std::string host, port, name;  // its first server's
  std::vector<NetworkServer> further = {};
  std::string user = {};   // empty: it asks for none
  SecretName secret = {};  // of that user
};

struct DiskFacts {
  Disk disk;              // sizes are zero, the backing chain is as far as the definition tells
  std::string alias;      // of a running VM: "virtio-disk0"
  NetworkSource network;  // kNetwork
  // What it names on this host, layers, a copy and data files included, as often as it does.
  std::vector<std::string> files;
  // Its servers are on TCP without TLS, it has nothing else but a user and a secret, and the image
  // stands on no other.
  bool network_plain = false;
  std::string pool, volume;  // kVolume
  std::string cache;
  std::string job;        // "copy", "active-commit": a block job mirrors it right now
  std::string job_path;   // the file that the job writes
  std::string job_ready;  // "yes"; "pivot", "abort": it is ending; empty: not yet
  bool encrypted = false;
  bool transient = false;
  bool data_file = false;     // qcow2 with its data in a second file
  ByteCount slice;            // so much of the file or device is the disk; 0: all of it
  bool slice_within = false;  // which does not begin where that does
};

struct InterfaceFacts {
  std::string mac;
  std::string type;       // "bridge", "network", "direct", "user", "hostdev", "vhostuser", ...
  std::string source;     // bridge, network or device name
  std::string port_type;  // "openvswitch" or empty
  bool teamed = false;    // <teaming>: the guest can live without it for a while
};

struct GraphicsFacts {
  std::string type;                    // "vnc", "spice", ...
  std::vector<std::string> addresses;  // fixed addresses it listens on
  std::string network;                 // or the libvirt network it takes its address from
};

struct HostDeviceFacts {
  std::string type;   // "pci", "usb", "scsi", "mdev", ...
  std::string label;  // for people: "pci 0000:03:00.0"
  bool teamed = false;
};

struct FilesystemFacts {
  std::string driver;  // "virtiofs", "9p"
  std::string source, target;
};

struct DomainFacts {
  Vm vm;  // without host, state, snapshots, autostart and move_id
  std::vector<DiskFacts> disks;
  std::vector<NetworkSource> network_sources;  // of disks, their layers and copies, SCSI devices
  std::vector<InterfaceFacts> interfaces;
  std::vector<GraphicsFacts> graphics;
  std::vector<HostDeviceFacts> host_devices;
  std::vector<FilesystemFacts> filesystems;
  std::vector<std::string> shared_memories;  // <shmem> names
  std::vector<std::string> secrets;          // uuid or usage of secrets that disks need
  std::vector<std::string>
      host_files;  // what libvirt or QEMU opens by path there: loader, kernel, initrd, ...
  std::string arch, emulator;
  std::string cpu_mode, cpu_model;
  std::string cpu_check;
  std::string tpm_backend;  // "emulator", "passthrough", "external"; empty: no TPM
  bool tpm_persistent = false;
  std::string loader, nvram_template;
  bool huge_pages = false;
  bool shared_memory = false;           // other processes may map it: memfd, file, or "shared"
  ByteCount huge_page_size;             // 0: the host's usual one
  bool fixed_numa = false;              // strict memory placement on host nodes
  std::vector<std::string> numa_nodes;  // sets of the host's nodes it is bound to: "0-1,3"
  std::vector<std::string> cpu_sets;    // sets of the host's processors it is pinned to: "0-3,^2"
  bool launch_security = false;         // SEV and its kin
  bool qemu_commandline = false;        // <qemu:commandline>
  bool vhost_user = false;              // a device served by another process of the host
};

Result<DomainFacts> parse_domain(std::string_view xml);

// The same disks (no drives) in the same files or volumes.
bool same_disks(const DomainFacts& one, const DomainFacts& other);

// The <cpu> element as text; empty: there is none, any host will do.
Result<std::string> cpu_element(std::string_view domain_xml);

// All that the definition says: each attribute and each text in it.
Result<std::vector<std::string>> definition_values(std::string_view xml);

}  // namespace drover
