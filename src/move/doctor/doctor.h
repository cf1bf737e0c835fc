// SPDX-License-Identifier: Apache-2.0
// Looks for what would make moves fail on this host, or with its peers, and for what was left
// behind; and offers to mend it. docs/doctor.md has a section for each code. Any thread; takes some
// seconds if peers are silent.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "move/plan/inventory.h"
#include "move/world.h"

namespace drover::move {

struct DoctorOptions {
  std::vector<std::filesystem::path> programs = {};  // that must be there to be run
  std::filesystem::path hook_source = "/usr/share/drover/hooks/qemu";
  std::filesystem::path hook_place = "/etc/libvirt/hooks/qemu.d/drover";
  std::filesystem::path state_folder = "/var/lib/drover";
  std::filesystem::path moves_folder = "/run/drover/moves";
  std::filesystem::path socket_folder = "/run/libvirt/drover";
  std::filesystem::path apparmor = "/sys/module/apparmor/parameters/enabled";
  std::filesystem::path unix_sockets = "/proc/self/net/unix";  // which of them somebody has open
  std::string version = {};                                    // of this droverd
};

struct DoctorCode {
  std::string_view code;
  bool mends = false;  // apply_fix() takes it
};
std::span<const DoctorCode> doctor_codes();

// Sorted: blockers first. Changes nothing.
std::vector<Finding> examine(World& world, Inventory& inventory, const DoctorOptions& options);

// Does what is safe about a code: looks again itself, and touches only what it finds. "hook" is
// another name for HOOK_ABSENT. kInvalidArgument: no such fix. May run twice.
Status apply_fix(World& world, std::string_view code, const DoctorOptions& options);

}  // namespace drover::move
