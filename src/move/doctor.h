// SPDX-License-Identifier: Apache-2.0
// Looks for what would make moves fail on this host, and offers to mend it. Any thread.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "move/inventory.h"
#include "move/world.h"

namespace drover::move {

struct DoctorOptions {
  std::vector<std::filesystem::path> programs;  // that must be there to be run
  std::filesystem::path hook_source = "/usr/share/drover/hooks/qemu";
  std::filesystem::path hook_place = "/etc/libvirt/hooks/qemu.d/drover";
};

std::vector<Finding> examine(World& world, Inventory& inventory, const DoctorOptions& options);

// `name`: "hook" puts the libvirt hook in place, which keeps a VM from being started while its
// ownership record is open. kInvalidArgument: no such fix. May run twice.
Status apply_fix(std::string_view name, const DoctorOptions& options);

}  // namespace drover::move
