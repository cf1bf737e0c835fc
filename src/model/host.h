// SPDX-License-Identifier: Apache-2.0
// A host, its settings, and what its hypervisor is. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_count.h"
#include "model/convergence.h"
#include "model/move_limit.h"
#include "model/performance.h"

namespace drover {

inline constexpr std::chrono::hours kResidueAgeMost{24 * 30};
inline constexpr std::chrono::seconds kSpacePatienceMost{24 * 3600};
inline constexpr std::chrono::seconds kHealthWatchMost{3600};

// Changed at run time by `drover settings`; kept in the journal's database.
struct HostSettings {
  bool incoming = false;  // on: moves to this host are allowed. Pairing asks and turns both on.
  bool outgoing = false;
  std::string default_folder = "/var/lib/libvirt/images";
  std::vector<std::string> allowed_folders = {"/var/lib/libvirt/images"};
  Performance performance = Performance::kCompress;  // of moves that leave, unless they say else
  MoveLimit live_moves;                              // at once, to and from this host together
  MoveLimit storage_moves;                           // likewise, of disks within this host
  BytesPerSecond bandwidth;  // of all moves that leave, together; 0: no limit
  Convergence convergence;   // of moves that leave, unless they say else
  // Where links go, in this order, and nowhere else; empty: any. Texts of IpNetwork.
  std::vector<std::string> networks;
  // Whose VMs here may lend the content of their disks to VMs that come in the same group.
  std::vector<std::string> groups;
  // Network disks that VMs which come here may have (model/network_disk.h); empty: none.
  std::vector<std::string> network_disks = {};
  // Of the memory that VMs had when they left, kept for their way back: all together, and how long.
  ByteCount residue_max = gib(4);  // 0: none is kept
  std::chrono::hours residue_age{24};
  // Below so much free space no further disk is copied to a file system (docs/space.md), and how
  // long a move then waits for room.
  ByteCount space_reserve = mib(256);
  std::chrono::seconds space_patience{600};
  unsigned retries = 2;  // of moves that leave and fail for a passing reason, unless they say else
  std::chrono::seconds health_watch{60};  // of VMs that have left; 0: they are not watched
};

// Rights of a peer, set where it is added.
struct PeerRights {
  bool send = true;        // may move VMs to us
  bool receive = true;     // we may move VMs to it
  bool command = false;    // may start jobs here in a user's name
  bool introduce = false;  // may introduce further hosts
};

enum class PeerState { kPaired, kWaiting };  // waiting: introduced, needs `drover host approve`

struct Peer {
  std::string name;     // our name for it, unique here
  std::string address;  // "10.0.0.2" or a DNS name
  std::uint16_t api_port = 0;
  std::uint16_t mover_port = 0;
  std::string public_key;  // hex of the raw Ed25519 key (32 bytes); the peer's only identity
  PeerRights rights;
  PeerState state = PeerState::kPaired;
};

// libvirt's encoding: major * 1'000'000 + minor * 1'000 + micro.
using Version = std::uint64_t;
std::string version_text(Version version);

// An address of the host itself, on an interface that is up; none of loopback or link-local.
struct HostAddress {
  std::string address;            // "10.77.1.2"
  std::uint32_t prefix_bits = 0;  // of its network
  std::string device;
  bool guests = false;  // the device is a bridge that guests are plugged into
};

// A bridge, or a device that has one of the addresses.
struct LinkFacts {
  std::string name;
  std::uint32_t mtu = 0;
  std::uint32_t speed_mbit = 0;  // as its driver says; 0: it says nothing
  std::string network = {};      // of libvirt, whose bridge it is; empty: none
};

struct NetworkFacts {
  std::vector<std::string> bridges;          // host bridges that exist
  std::vector<std::string> active_networks;  // libvirt networks
  std::vector<HostAddress> addresses;
  std::vector<LinkFacts> links = {};
};

struct PoolFacts {
  std::string name;
  std::string type;  // "dir", "netfs", ...
  std::string path;  // target path
  bool active = false;
};

// What preflight must know of a host; gathered on that host, sent to the peer that plans.
struct HostFacts {
  std::string name;
  std::string host_uuid;
  std::string drover_version;
  Version libvirt_version = 0;
  Version qemu_version = 0;
  bool hypervisor_up = false;
  ByteCount memory_total;
  ByteCount memory_free;
  std::uint32_t cpus = 0;
  std::vector<std::string> machine_types;  // of the default emulator for x86_64, all aliases too
  bool kvm_usable = false;
  NetworkFacts networks;
  std::vector<PoolFacts> pools;
  HostSettings settings;
  std::optional<std::chrono::system_clock::time_point> clock = {};  // its own, as it was asked
};

}  // namespace drover
