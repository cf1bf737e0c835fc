// SPDX-License-Identifier: Apache-2.0
// The folder of an exported VM, being made and being read. It lies beneath an allowed folder; no
// link is followed on the way to it or within. It is made under another name, FOLDER.drover-ID, and
// gets its own once it is whole and on stable storage: who sees it, sees all of it. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "hypervisor/disk_image.h"

namespace drover::archive {

// One that is being made.
class Staging {
 public:
  static std::string path_of(std::string_view folder, std::string_view id);
  // kConflict: something of that name is there. kPermission: not beneath an allowed folder.
  static Result<Staging> make(const std::string& folder, std::string_view id,
                              std::span<const std::string> allowed);
  FileIdentity identity() const { return identity_; }
  const std::string& path() const { return path_; }

  // An empty file in it, 0600. kConflict: it is there.
  Result<UniqueFd> create(const std::string& name) const;
  Status write(const std::string& name, std::string_view content) const;
  // Gives it its own name. kConflict: that is taken meanwhile. Nothing may be created afterwards.
  Status commit();

 private:
  Staging() = default;
  std::string folder_, path_;
  UniqueFd parent_, self_;
  FileIdentity identity_;
};

// Removes one that was not committed, with what is in it. Nothing there is success; kConflict:
// another folder is there. An inode of 0: it was about to be made, and is removed only if it is
// empty.
Status remove_staging(const std::string& path, FileIdentity identity);
// Whether it has got its own name.
bool is_committed(const std::string& folder, FileIdentity identity);

// One that is read.
class ExportFolder {
 public:
  // kNotFound, kPermission: as open_allowed_folder().
  static Result<ExportFolder> open(const std::string& path, std::span<const std::string> allowed);
  const std::string& path() const { return path_; }
  // kNotFound: no such file. kPolicy: a link, something that is no plain file, or a file that has
  // other names too: to use it would be to use something outside the folder.
  Result<UniqueFd> file(const std::string& name) const;
  // kNotFound, kPolicy: likewise; kInvalidArgument: larger than `bytes_max`.
  Result<std::string> text(const std::string& name, std::size_t bytes_max) const;
  // Names of its files, in order, at most 1,000.
  std::vector<std::string> names() const;

 private:
  std::string path_;
  UniqueFd self_;
};

}  // namespace drover::archive
