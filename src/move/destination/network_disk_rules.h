// SPDX-License-Identifier: Apache-2.0
// What a destination asks of network disks beside what they hold (move/plan/network_disks.h): which
// of them a definition may name, and whether another VM has them. Any thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hypervisor/domain_xml.h"
#include "hypervisor/hypervisor.h"
#include "model/host.h"
#include "model/plan.h"

namespace drover::move {

// The gate's rules that admit the network disks of `definition` that `placements` prove and `rules`
// admit, each for its user, and nothing else: an export that the administrator allows is still
// another VM's, until it is shown.
std::vector<std::string> proven_network_disks(std::string_view definition,
                                              std::span<const DiskPlacement> placements,
                                              std::span<const std::string> rules);

// Whether both hosts have an address of `disk` (NetworkDisk::name()) themselves, as they have
// 192.168.122.1, libvirt's own bridge: each would reach itself.
bool is_own_of_both(std::string_view disk, const HostFacts& one, const HostFacts& other);

// What a VM that is here has over the network.
struct NetworkDiskUser {
  std::string vm;
  NetworkSource source;
};
using ReadDefinition = std::function<Result<std::string>(std::string_view uuid, DefinitionKind)>;
// Of all of `vms` but `own_uuid`: what they have open now and what they would open at their next
// boot. An error: that cannot be known of one that has not gone meanwhile.
Result<std::vector<NetworkDiskUser>> network_disk_users(std::span<const Vm> vms,
                                                        std::string_view own_uuid,
                                                        const ReadDefinition& read);
// A sentence about the one that has `disk`, which is one that can be proven, or may have it. Names
// of NBD servers are compared by their addresses, and one that has none now may be any; a target
// and a volume have several, and are compared by their own names. Empty: nobody has it.
std::string taken_by(const NetworkSource& disk, std::span<const NetworkDiskUser> users);

// The network disk that two plans share (NetworkDisk::name()); empty: none.
std::string network_disk_of_both(std::span<const DiskPlacement> one,
                                 std::span<const DiskPlacement> other);

}  // namespace drover::move
