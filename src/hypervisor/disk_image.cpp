// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/disk_image.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/unique_fd.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/program.h"

namespace drover {
namespace {

// Where the mode that an image had is remembered while it is in quarantine. Best effort: FAT and
// the like have none.
constexpr const char* kModeAttribute = "trusted.drover.mode";

struct Split {
  std::string folder, name;
};

Split split(std::string_view path) {
  const std::filesystem::path whole(path);
  return {whole.parent_path().string(), whole.filename().string()};
}

Status sync_descriptor(int folder, const std::string& path) {
  // A folder opened with O_PATH cannot be synced itself.
  const UniqueFd readable(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable || ::fsync(readable.get()) != 0) return fail_errno("Cannot sync " + path);
  return {};
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("Cannot open " + path);
  return fd;
}

// What stands at a name: nothing, the file meant, or another.
enum class Found { kNothing, kMeant, kOther };

Result<Found> look(int folder, const std::string& name, const FileIdentity& meant) {
  const auto seen = see_file(folder, name);
  if (!seen && seen.error().code == ErrorCode::kNotFound) return Found::kNothing;
  if (!seen) return std::unexpected(seen.error());
  return seen->identity == meant && seen->regular ? Found::kMeant : Found::kOther;
}

Status take_room(int fd, const std::string& path, std::uint64_t bytes) {
  while (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0) {
    if (errno == EINTR) continue;
    if (errno == EOPNOTSUPP) {
      return fail(ErrorCode::kSystem,
                  "The file system of {} keeps no room free for it. Fix: --allocation thin, or "
                  "another folder.",
                  path);
    }
    return fail_errno(fmt::format("Cannot take the room of {}", path));
  }
  return {};
}

Status format_image(int fd, const DiskPlacement& placement, const FilePlacement* below) {
  const std::string& path = placement.destination_path;
  const bool full = placement.allocation == Allocation::kFull;
  if (placement.format == "raw") {
    if (::ftruncate(fd, static_cast<off_t>(placement.virtual_size.bytes)) != 0)
      return fail_errno("Cannot size " + path);
    if (full) RETURN_IF_ERROR(take_room(fd, path, placement.virtual_size.bytes));
  } else {
    std::string options = "compat=1.1";
    if (placement.cluster_size.bytes != 0)
      options += fmt::format(",cluster_size={}", placement.cluster_size.bytes);
    if (full) options += ",preallocation=falloc";
    std::vector<std::string> arguments{"qemu-img", "create", "-q", "-f", "qcow2", "-o", options};
    if (below != nullptr) {
      for (const char* word : {"-u", "-F", below->format.c_str(), "-b"})
        arguments.emplace_back(word);
      arguments.push_back(below->destination_path);
    }
    arguments.emplace_back("/proc/self/fd/3");
    arguments.push_back(std::to_string(placement.virtual_size.bytes));
    const auto made = run_program(
        {.arguments = std::move(arguments), .descriptor = fd, .limit = std::chrono::seconds(30)});
    if (!made)
      return std::unexpected(wrap(made.error(), fmt::format("Cannot format {} as qcow2.", path)));
  }
  if (::fsync(fd) != 0) return fail_errno("Cannot sync " + path);
  return {};
}

// Through /proc, for a descriptor opened with O_PATH has no data rights and needs none.
std::string proc_path(const UniqueFd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

Status set_mode(int folder, const std::string& name, const FileIdentity& identity, bool locked) {
  const UniqueFd file(::openat(folder, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + name);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(file.get(), name));
  if (seen.identity != identity)
    return fail(ErrorCode::kConflict, "{} was replaced by another file.", name);
  const std::string path = proc_path(file);
  mode_t mode = 0400;
  if (locked) {
    const std::string former = fmt::format("{:o}", seen.mode);
    // Once only: the second time the mode is the quarantine's own. Without the attribute, 0600 is
    // restored.
    (void)::setxattr(path.c_str(), kModeAttribute, former.data(), former.size(), XATTR_CREATE);
  } else {
    char former[8] = {};
    const ssize_t n = ::getxattr(path.c_str(), kModeAttribute, former, sizeof former - 1);
    unsigned value = 0600;
    if (n > 0 && std::sscanf(former, "%o", &value) != 1) value = 0600;
    mode = static_cast<mode_t>(value & 0777);
    (void)::removexattr(path.c_str(), kModeAttribute);
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("Cannot set the mode of " + name);
  return {};
}

Status rename_within(int folder, const Split& from, const Split& to) {
  if (::renameat2(folder, from.name.c_str(), folder, to.name.c_str(), RENAME_NOREPLACE) == 0)
    return {};
  if (errno == EEXIST)
    return fail(ErrorCode::kConflict, "{}/{} exists already.", to.folder, to.name);
  return fail_errno(fmt::format("Cannot rename {}/{} to {}", from.folder, from.name, to.name));
}

}  // namespace

Result<FileIdentity> file_identity(const std::string& path) {
  ASSIGN_OR_RETURN(SeenFile seen, see_file(AT_FDCWD, path));
  return std::move(seen.identity);
}

Status check_nothing_at(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("Cannot look at " + path);
  }
  return fail(ErrorCode::kConflict, "{} exists already; it was left alone.", path);
}

Result<FileIdentity> create_image(const DiskPlacement& placement,
                                  std::span<const std::string> allowed_folders,
                                  const FilePlacement* below) {
  const std::string& path = placement.destination_path;
  if (below != nullptr && placement.format != "qcow2") {
    return fail(ErrorCode::kInvalidArgument, "{} is {}, which stands on no other image.", path,
                placement.format);
  }
  if (!is_plain_path(path))
    return fail(ErrorCode::kPermission, "{} is not a plain absolute path.", path);
  if (placement.format != "raw" && placement.format != "qcow2") {
    return fail(ErrorCode::kInvalidArgument, "Images of format {} cannot be created.",
                placement.format);
  }
  const Split parts = split(path);
  ASSIGN_OR_RETURN(const UniqueFd folder, open_allowed_folder(parts.folder, allowed_folders));
  const UniqueFd file(::openat(folder.get(), parts.name.c_str(),
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file && errno == EEXIST) return fail(ErrorCode::kConflict, "{} exists already.", path);
  if (!file) return fail_errno("Cannot create " + path);

  Result<SeenFile> made = see_file_behind(file.get(), path);
  Status done;
  if (!made) done = std::unexpected(made.error());
  if (done) done = format_image(file.get(), placement, below);
  if (done) done = sync_descriptor(folder.get(), parts.folder);
  if (!done) {
    ::unlinkat(folder.get(), parts.name.c_str(), 0);
    return std::unexpected(std::move(done).error());
  }
  return std::move(made->identity);
}

Status fill_holes(const std::string& path, const FileIdentity& identity) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(file.get(), path));
  if (!seen.regular || seen.identity != identity)
    return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  struct stat found{};
  if (::fstat(file.get(), &found) != 0) return fail_errno("Cannot look at " + path);
  const auto size = static_cast<std::uint64_t>(found.st_size);
  // Of a file without holes the kernel would look at each extent, while nobody may write it.
  if (static_cast<std::uint64_t>(found.st_blocks) * 512 >= size) return {};
  return take_room(file.get(), path, size);
}

Result<UniqueFd> open_image(const std::string& path, const FileIdentity& identity,
                            std::span<const std::string> allowed_folders) {
  if (!is_plain_path(path))
    return fail(ErrorCode::kPermission, "{} is not a plain absolute path.", path);
  const Split parts = split(path);
  ASSIGN_OR_RETURN(const UniqueFd folder, open_allowed_folder(parts.folder, allowed_folders));
  // Looked at first: opening some kinds of files does something.
  ASSIGN_OR_RETURN(const Found found, look(folder.get(), parts.name, identity));
  if (found == Found::kNothing) return fail(ErrorCode::kNotFound, "{} is gone.", path);
  if (found == Found::kOther) return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  UniqueFd file(
      ::openat(folder.get(), parts.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile opened, see_file_behind(file.get(), path));
  if (opened.identity != identity)
    return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  return file;
}

Status remove_image(const std::string& path, const FileIdentity& identity) {
  const Split parts = split(path);
  const auto folder = open_folder(parts.folder);
  if (!folder && folder.error().code == ErrorCode::kNotFound) return {};
  if (!folder) return std::unexpected(folder.error());
  ASSIGN_OR_RETURN(const Found found, look(folder->get(), parts.name, identity));
  if (found == Found::kOther)
    return fail(ErrorCode::kConflict, "{} is another file by now; it was left alone.", path);
  if (found == Found::kMeant && ::unlinkat(folder->get(), parts.name.c_str(), 0) != 0) {
    return fail_errno("Cannot remove " + path);
  }
  return sync_descriptor(folder->get(), parts.folder);
}

std::string quarantine_path(std::string_view path, std::string_view move_id) {
  return fmt::format("{}.drover-{}", path, move_id);
}

Result<std::string> quarantine_image(const std::string& path, const FileIdentity& identity,
                                     std::string_view move_id) {
  const std::string kept = quarantine_path(path, move_id);
  const Split from = split(path), to = split(kept);
  ASSIGN_OR_RETURN(const UniqueFd folder, open_folder(from.folder));
  ASSIGN_OR_RETURN(const Found already, look(folder.get(), to.name, identity));
  if (already != Found::kMeant) {
    ASSIGN_OR_RETURN(const Found found, look(folder.get(), from.name, identity));
    if (found == Found::kNothing) return fail(ErrorCode::kNotFound, "{} is gone.", path);
    if (found == Found::kOther)
      return fail(ErrorCode::kConflict, "{} is another file by now; it was left alone.", path);
    RETURN_IF_ERROR(rename_within(folder.get(), from, to));
  }
  RETURN_IF_ERROR(set_mode(folder.get(), to.name, identity, true));
  RETURN_IF_ERROR(sync_descriptor(folder.get(), from.folder));
  return kept;
}

Status restore_image(const std::string& path, const FileIdentity& identity,
                     std::string_view move_id) {
  const Split from = split(quarantine_path(path, move_id)), to = split(path);
  ASSIGN_OR_RETURN(const UniqueFd folder, open_folder(to.folder));
  ASSIGN_OR_RETURN(const Found already, look(folder.get(), to.name, identity));
  if (already == Found::kMeant) return sync_descriptor(folder.get(), to.folder);
  if (already == Found::kOther) return fail(ErrorCode::kConflict, "{} exists already.", path);
  ASSIGN_OR_RETURN(const Found found, look(folder.get(), from.name, identity));
  if (found == Found::kNothing)
    return fail(ErrorCode::kNotFound, "{}/{} is gone.", from.folder, from.name);
  if (found == Found::kOther) {
    return fail(ErrorCode::kConflict, "{}/{} is another file by now; it was left alone.",
                from.folder, from.name);
  }
  // The mode first: a crash between the two leaves a quarantined image that this function still
  // finds.
  RETURN_IF_ERROR(set_mode(folder.get(), from.name, identity, false));
  RETURN_IF_ERROR(rename_within(folder.get(), from, to));
  return sync_descriptor(folder.get(), to.folder);
}

}  // namespace drover
