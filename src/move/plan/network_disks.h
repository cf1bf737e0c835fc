// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU opens over the network: how two hosts prove that they open the same one
// (docs/decisions/0007). No lock is seen across, so the proof is what both read: one address, one
// export, one size, and the content of blocks that nobody can guess. Such a disk stays where it is:
// its placement is shared, and its paths are names as "nbd://10.0.0.9:10809/web01", by the address
// that was reached, or by those of all of its servers. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/network_image.h"
#include "model/plan.h"
#include "move/plan/network_servers.h"
#include "mover/nbd_reader.h"
#include "preflight/preflight.h"

namespace drover::move {

// The disks of the definition that are network disks, media left out.
std::vector<DiskFacts> network_disks_in(const DomainFacts& domain);
// As the definition names it (model/network_disk.h), by each of its servers; none: not one that can
// be proven.
std::vector<std::string> network_uris(const DiskFacts& disk);
// The first of them, or "".
std::string network_uri(const DiskFacts& disk);
// Each of its servers is allowed. False for those that cannot be proven.
bool admits_servers_of(std::span<const std::string> rules, const DiskFacts& disk);
// Both open the same, by the same servers and as the same user.
bool same_network_disk(const DiskFacts& one, const DiskFacts& other);

// Within kNetworkDisksLook from now on.
NetworkLook look_at_disks(const SecretReader& secrets);
SecretReader secrets_of(Hypervisor& hypervisor);

// What of a placement's path no file answers to.
bool is_network(const DiskPlacement& placement);

// What a block's digest is to prove, and who tells it. Each use has digests of its own: what a
// destination says of blocks that a peer chose is no knowledge of them in that peer's reservation.
enum class MarkUse {
  kReport,       // the destination, of what it sees there
  kReservation,  // the source, of what it has here
};

// An open connection to one of them, for reading. One thread.
class NetworkDisk {
 public:
  // An error says why QEMU, or its copy elsewhere, could not use it: it cannot be reached, lies at
  // an address that means each host itself, or its server does not promise that what one connection
  // wrote another one reads. Of several servers it is the first that shows it. `vm_uuid`: whose
  // disk it is, which an iSCSI target may ask.
  static Result<NetworkDisk> open(const DiskFacts& disk, const std::string& vm_uuid,
                                  NetworkLook& look);
  // Once through each of its servers that shows it, of which there is one at least.
  static Result<std::vector<NetworkDisk>> open_through_all(const DiskFacts& disk,
                                                           const std::string& vm_uuid,
                                                           NetworkLook& look);

  // By the address that was reached; of a disk with several servers by the addresses of all.
  const std::string& name() const { return name_; }
  // As its guest sees it: an image may grow while it is looked at.
  ByteCount size() const { return size_; }

  // Blocks that differ from each other and are not zero, at most kMarksMost: the first 8 bytes of
  // the SHA-256 of the use's word and the block, with `target`.
  Result<std::vector<preflight::DiskMark>> make_marks(const std::string& target, MarkUse use,
                                                      Deadline deadline);
  // The same blocks as they are now.
  Result<std::vector<preflight::DiskMark>> read_marks(const std::string& target, MarkUse use,
                                                      const std::vector<preflight::DiskMark>& at,
                                                      Deadline deadline);

 private:
  NetworkDisk() = default;
  static Result<std::vector<NetworkDisk>> open_at_most(std::size_t most, const DiskFacts& disk,
                                                       const std::string& vm_uuid,
                                                       NetworkLook& look);
  static Result<NetworkDisk> open_at(const NetworkEndpoint& server, const DiskFacts& disk,
                                     const std::string& vm_uuid, NetworkLook& look);
  Status read_export(UniqueFd socket, const std::string& name, const std::string& uri,
                     Deadline deadline);
  Status read_by_qemu(const NetworkImageSource& source, const std::string& uri, Deadline deadline);

  std::unique_ptr<NetworkImage> image_;  // of disks that QEMU alone can read
  std::unique_ptr<mover::NbdReader> reader_;
  ByteCount size_;
  std::string name_;
};

inline constexpr std::size_t kMarksMost = 32;
inline constexpr std::size_t kMarksEnough = 4;  // blocks that agree; fewer prove nothing

std::vector<preflight::DiskMark> marks_of(const std::vector<preflight::DiskMark>& marks,
                                          std::string_view target);

// Pure: `before` and `after` are what one side read, `theirs` what the other read in between.
// Nothing: the same disk. Else why that is not shown. A guest that writes meanwhile changes blocks;
// those are left out.
std::string difference(const std::vector<preflight::DiskMark>& before,
                       const std::vector<preflight::DiskMark>& theirs,
                       const std::vector<preflight::DiskMark>& after);

// Pure, at the destination: `told` came with a reservation, `found` is read here, now. Nothing: who
// told them has read this disk. Its guest may have written since, but not half of them.
std::string not_shown_by(const std::vector<preflight::DiskMark>& told,
                         const std::vector<preflight::DiskMark>& found);

}  // namespace drover::move
