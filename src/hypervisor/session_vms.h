// SPDX-License-Identifier: Apache-2.0
// VMs of users' own libvirt sessions (qemu:///session) on this host: seen from their files, never
// touched. Any thread.
#pragma once

#include <filesystem>
#include <vector>

#include "model/access.h"

namespace drover {

// Of users who may log in; `host` is left empty. Sorted by user and name; bounded. `passwd` is read
// as /etc/passwd is written, `run_root` holds the users' folders of running programs by their
// number.
std::vector<SessionVm> session_vms(const std::filesystem::path& passwd = "/etc/passwd",
                                   const std::filesystem::path& run_root = "/run/user");

}  // namespace drover
