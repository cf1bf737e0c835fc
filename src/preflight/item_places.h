// SPDX-License-Identifier: Apache-2.0
// Where single items of a VM shall go (model/plan.h, ItemPlace), and pools by their names. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/domain_xml.h"
#include "model/host.h"
#include "model/plan.h"

namespace drover::preflight {

// The item that is the UEFI variables; all others are disks' targets.
inline constexpr std::string_view kNvramItem = "nvram";

// A folder without "/" at its end, or the folder of a pool of files. kNotFound: no such pool;
// kInvalidArgument: it holds no files; kConflict: it is not active.
Result<std::string> folder_named(const std::string& place, const HostFacts& host);

// The same of what a disk, or another item, may go to: for disks also pools of block devices, whose
// volumes are named later (volumes.h).
Result<std::string> place_named(std::string_view item, const std::string& place,
                                const HostFacts& host);

// Of a move to `host`: the request with folders in the place of pools, also of block devices.
// kInvalidArgument: an item is named twice, or is nothing that travels; and as folder_named.
Result<MoveRequest> with_folders(const MoveRequest& request, const DomainFacts& live,
                                 const Vm& measured, const HostFacts& host);

// Puts what the request names to its place; what a disk is built on goes along. REQUIRES:
// with_folders.
void place_items(const MoveRequest& request, std::vector<DiskPlacement>& placements,
                 std::vector<FilePlacement>& files, std::string& nvram);

// The first item that is not where the request wants it on `host`, or an empty text: an earlier
// Drover there places no items.
std::string misplaced_item(const MoveRequest& request, const HostFacts& host,
                           const std::vector<DiskPlacement>& placements,
                           const std::vector<FilePlacement>& files, const std::string& nvram);

}  // namespace drover::preflight
