// SPDX-License-Identifier: Apache-2.0
// Files that an export or an import makes, and takes back.
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>

#include "archive/archive_work.h"
#include "archive/file_use.h"
#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/file_identity.h"

namespace drover::archive {
namespace {

using move::KnownFile;

// A scratch image that was being made when droverd died holds no more than a header.
constexpr std::uint64_t kHeaderMost = 1u << 20;

// By what it is; or, if droverd died before that was written down, only what can be nobody else's:
// an empty file, or one with this job's id in its name.
Result<FileIdentity> identity_to_remove(const KnownFile& file, const std::string& id) {
  if (file.inode != 0) return move::identity_of(file);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file(AT_FDCWD, file.path));
  struct stat found{};
  if (::lstat(file.path.c_str(), &found) != 0) return fail_errno("Cannot look at " + file.path);
  const bool named = file.path.ends_with(".drover-" + id);
  if (seen.regular && (found.st_size == 0 || (named && seen.allocated_bytes <= kHeaderMost)))
    return seen.identity;
  return fail(ErrorCode::kConflict, "{} is not the empty file that was to be made.", file.path);
}

}  // namespace

Result<UniqueFd> ArchiveWork::create(const std::string& item, const std::string& path,
                                     std::span<const std::string> allowed) {
  RETURN_IF_ERROR(check_nothing_at(path));
  job_.created.push_back(move::known_file(item, path, {}));
  RETURN_IF_ERROR(save());
  DiskPlacement empty;
  empty.target = item;
  empty.destination_path = path;
  empty.format = "raw";
  const auto identity = create_image(empty, allowed);
  if (!identity) {
    job_.created.pop_back();
    return std::unexpected(identity.error());
  }
  job_.created.back() = move::known_file(item, path, *identity);
  RETURN_IF_ERROR(save());
  UniqueFd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile opened, see_file_behind(file.get(), path));
  if (!(opened.identity == *identity))
    return fail(ErrorCode::kConflict, "{} was replaced by another file.", path);
  return file;
}

// An error: try again. What is another file by now, or a VM's, is nobody's to remove.
Status ArchiveWork::remove(const KnownFile& file) {
  const auto identity = identity_to_remove(file, id());
  if (!identity) {
    if (identity.error().code != ErrorCode::kNotFound) leave(file.path, identity.error().text());
    return {};
  }
  ASSIGN_OR_RETURN(const std::string user, user_of(world_.hypervisor, file.path));
  if (!user.empty()) {
    leave(file.path, fmt::format("{} is used by {} and stays.", file.path, user));
    return {};
  }
  if (const Status removed = remove_image(file.path, *identity); !removed) {
    if (removed.error().code != ErrorCode::kConflict) return removed;
    leave(file.path, removed.error().text());
  }
  (void)world_.hypervisor.refresh_pool(std::filesystem::path(file.path).parent_path().string());
  return {};
}

Status ArchiveWork::remove_created() {
  while (!job_.created.empty()) {
    RETURN_IF_ERROR(remove(job_.created.back()));
    job_.created.pop_back();
    RETURN_IF_ERROR(save());
  }
  return {};
}

}  // namespace drover::archive
