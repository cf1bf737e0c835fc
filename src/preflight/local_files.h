// SPDX-License-Identifier: Apache-2.0
// What this host's file system says about places where disks would land. What is there stays as it
// is. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/byte_count.h"

namespace drover::preflight {

struct FolderFacts {
  std::string path;
  bool allowed = false;
  bool exists = false;
  bool through_link = false;  // a symbolic link below the allowed folder
  bool read_only = false;     // the file system is
  std::string closed_at;      // a folder on the way that QEMU's user may not enter; empty: none
  std::uint64_t file_system = 0;
  ByteCount free;          // to the administrator, without the reserve of the file system
  bool keeps_room = true;  // for a file, before it is written; if keeps_room() was asked
};

// `user`: whom QEMU runs as; a name that does not exist here is taken to reach everything.
FolderFacts look_at_folder(const std::string& path, std::span<const std::string> allowed,
                           const std::string& user);
// Tried with a file without a name. True also where that cannot be made: then it is not known.
bool keeps_room(const std::string& folder, std::span<const std::string> allowed);
// Something is there: a file, a link to nowhere, anything.
bool path_taken(const std::string& path);
// A file that can be opened for reading.
bool file_readable(const std::string& path);
bool network_device_exists(const std::string& name);
std::vector<std::string> local_addresses();  // as text, without scope

}  // namespace drover::preflight
