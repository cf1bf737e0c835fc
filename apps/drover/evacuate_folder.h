// SPDX-License-Identifier: Apache-2.0
// drover evacuate HOST --folder OLD --to NEW: the disks of all VMs of a host leave a folder or a
// pool, by storage moves that wait in the host's queue under its limit. One thread.
#pragma once

#include <string>
#include <vector>

#include "model/access.h"
#include "session.h"

namespace drover::cli {

struct FolderOptions {
  std::string host;
  std::string folder;  // or
  std::string pool;    // that is left; one of the two
  std::string to;      // folder or pool
  std::vector<std::string> accepted;
  bool delete_now = false;
  bool yes = false;
  bool plan = false;  // only shown
};

// The targets of a VM's disks that lie beneath `folder`, an absolute path without "/" at its end.
std::vector<std::string> disks_beneath(const Vm& vm, const std::string& folder);

Result<ExitCode> evacuate_folder(const Session& session, const FolderOptions& options);

}  // namespace drover::cli
