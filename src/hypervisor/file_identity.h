// SPDX-License-Identifier: Apache-2.0
// Which file it is, whatever its path: what is changed, put aside or removed is named by this. A
// reboot may give the device another number (loop devices, btrfs, disks found in another order);
// then the file is known again by its inode and the instant at which it was made. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "model/move.h"

namespace drover {

struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t born_ns = 0;  // since 1970; 0: the file system does not say
  std::string boot = {};      // kernel's id of the boot in which this was seen; empty: not known

  // As far as both say: the same inode, and not made at another instant. On a device of another
  // number only if both tell their instants, and other boots. Before this was written down a device
  // of another number was another file, and still is where it was not.
  friend bool operator==(const FileIdentity& one, const FileIdentity& other);
};

struct SeenFile {
  FileIdentity identity;
  bool regular = false;
  std::uint32_t mode = 0;             // its permissions
  std::uint64_t allocated_bytes = 0;  // on its device
};

// At a name in an open folder (AT_FDCWD: a path); a link is looked at itself. kNotFound.
Result<SeenFile> see_file(int folder, const std::string& name);
// Behind a descriptor, which may be one of O_PATH. `name` is for people.
Result<SeenFile> see_file_behind(int descriptor, const std::string& name);

FileIdentity identity_of(const QuarantinedDisk& disk);
void set_identity(QuarantinedDisk& disk, const FileIdentity& identity);

}  // namespace drover
