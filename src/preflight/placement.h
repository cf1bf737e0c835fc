// SPDX-License-Identifier: Apache-2.0
// Where a VM's disks and NVRAM land on the destination. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hypervisor/domain_xml.h"
#include "model/host.h"
#include "model/plan.h"

namespace drover::preflight {

// Where libvirt keeps UEFI variables, as gate::AdministratorRules has it, too.
inline constexpr const char* kNvramFolder = "/var/lib/libvirt/qemu/nvram";

// The folders that disks may be created beneath here: the allowed ones, and each active directory
// pool's. The same list goes to create_image.
std::vector<std::string> usable_folders(const HostFacts& host, const HostSettings& settings);

// One for each disk that would be copied, in the definition's order: to `disks_to` if it is given,
// else to the same path if that lies in a usable folder, else to the default folder under the same
// file name. What is a volume of block devices there becomes a file called after VM and disk.
// `live` names the disks that are copied, `measured` is the VM as its host measured it.
std::vector<DiskPlacement> place_disks(const DomainFacts& live, const Vm& measured,
                                       const std::string& disks_to,
                                       std::span<const std::string> folders,
                                       const HostSettings& settings);

// Empty: the VM has none.
std::string place_nvram(const DomainFacts& live, std::span<const std::string> folders);

std::string folder_of(const std::string& path);

// What the copy takes of its file system at most, before its guest writes more.
ByteCount room_of(const DiskPlacement& placement);

}  // namespace drover::preflight
