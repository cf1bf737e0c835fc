// SPDX-License-Identifier: Apache-2.0
#include "archive/export_folder.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/allowed_folder.h"
#include "hypervisor/file_identity.h"

namespace drover::archive {
namespace {

constexpr std::size_t kNamesMax = 1000;
// QEMU's user passes through it if its images are registered where they lie; it lists nothing.
constexpr mode_t kFolderMode = 0711;
constexpr mode_t kFileMode = 0600;

struct Split {
  std::string parent, name;
};

Split split(const std::string& path) {
  const std::filesystem::path whole(path);
  return {whole.parent_path().string(), whole.filename().string()};
}

// A folder opened with O_PATH cannot be synced or listed itself.
Result<UniqueFd> readable(int folder, const std::string& path) {
  UniqueFd fd(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("Cannot open " + path);
  return fd;
}

Status sync(int folder, const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, readable(folder, path));
  if (::fsync(fd.get()) != 0) return fail_errno("Cannot sync " + path);
  return {};
}

std::vector<std::string> entries(int folder) {
  std::vector<std::string> names;
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const list = fd < 0 ? nullptr : ::fdopendir(fd);
  if (list == nullptr) return names;
  while (const dirent* entry = ::readdir(list)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && names.size() < kNamesMax) names.emplace_back(name);
  }
  ::closedir(list);
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::string Staging::path_of(std::string_view folder, std::string_view id) {
  return fmt::format("{}.drover-{}", folder, id);
}

Result<Staging> Staging::make(const std::string& folder, std::string_view id,
                              std::span<const std::string> allowed) {
  Staging made;
  made.folder_ = folder;
  made.path_ = path_of(folder, id);
  if (!is_plain_path(made.path_))
    return fail(ErrorCode::kPermission, "{} is not a plain absolute path.", folder);
  const Split parts = split(made.path_);
  ASSIGN_OR_RETURN(made.parent_, open_allowed_folder(parts.parent, allowed));
  if (::mkdirat(made.parent_.get(), parts.name.c_str(), 0700) != 0) {
    if (errno == EEXIST) return fail(ErrorCode::kConflict, "{} exists already.", made.path_);
    return fail_errno("Cannot make the folder " + made.path_);
  }
  made.self_ = UniqueFd(::openat(made.parent_.get(), parts.name.c_str(),
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  Result<SeenFile> seen = fail_errno("Cannot open " + made.path_);
  if (made.self_) seen = see_file_behind(made.self_.get(), made.path_);
  if (!seen) {
    ::unlinkat(made.parent_.get(), parts.name.c_str(), AT_REMOVEDIR);
    return std::unexpected(std::move(seen).error());
  }
  made.identity_ = seen->identity;
  return made;
}

Result<UniqueFd> Staging::create(const std::string& name) const {
  UniqueFd file(::openat(self_.get(), name.c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (file) return file;
  if (errno == EEXIST) return fail(ErrorCode::kConflict, "{}/{} exists already.", path_, name);
  return fail_errno(fmt::format("Cannot create {}/{}", path_, name));
}

Status Staging::write(const std::string& name, std::string_view content) const {
  ASSIGN_OR_RETURN(const UniqueFd file, create(name));
  while (!content.empty()) {
    const ssize_t n = ::write(file.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(fmt::format("Cannot write {}/{}", path_, name));
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(file.get()) != 0) return fail_errno(fmt::format("Cannot sync {}/{}", path_, name));
  return {};
}

Status Staging::commit() {
  if (::fchmod(self_.get(), kFolderMode) != 0) return fail_errno("Cannot open up " + path_);
  if (::fsync(self_.get()) != 0) return fail_errno("Cannot sync " + path_);
  const std::string from = split(path_).name, to = split(folder_).name;
  if (::renameat2(parent_.get(), from.c_str(), parent_.get(), to.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return fail(ErrorCode::kConflict, "{} exists already.", folder_);
    return fail_errno(fmt::format("Cannot rename {} to {}", path_, folder_));
  }
  return sync(parent_.get(), split(folder_).parent);
}

Status remove_staging(const std::string& path, FileIdentity identity) {
  const Split parts = split(path);
  const UniqueFd parent(::open(parts.parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent && errno == ENOENT) return {};
  if (!parent) return fail_errno("Cannot open " + parts.parent);
  const UniqueFd self(
      ::openat(parent.get(), parts.name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!self && errno == ENOENT) return {};
  if (!self) return fail_errno("Cannot open " + path);
  if (identity.inode != 0) {
    ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(self.get(), path));
    if (!(seen.identity == identity))
      return fail(ErrorCode::kConflict, "{} is another folder by now; it was left alone.", path);
    for (const std::string& name : entries(self.get())) {
      if (::unlinkat(self.get(), name.c_str(), 0) != 0 && errno != ENOENT)
        return fail_errno(fmt::format("Cannot remove {}/{}", path, name));
    }
  }
  if (::unlinkat(parent.get(), parts.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("Cannot remove " + path);
  return sync(parent.get(), parts.parent);
}

bool is_committed(const std::string& folder, FileIdentity identity) {
  const auto seen = see_file(AT_FDCWD, folder);
  return identity.inode != 0 && seen && seen->identity == identity;
}

Result<ExportFolder> ExportFolder::open(const std::string& path,
                                        std::span<const std::string> allowed) {
  ExportFolder opened;
  opened.path_ = path;
  while (opened.path_.size() > 1 && opened.path_.ends_with('/')) opened.path_.pop_back();
  ASSIGN_OR_RETURN(opened.self_, open_allowed_folder(opened.path_, allowed));
  return opened;
}

Result<UniqueFd> ExportFolder::file(const std::string& name) const {
  const auto refused = [&](std::string_view what) {
    return fail(ErrorCode::kPolicy, "{}/{} is {}: only plain files of the folder itself are used.",
                path_, name, what);
  };
  // Looked at first: opening some kinds of files does something.
  struct stat found{};
  if (::fstatat(self_.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return fail(ErrorCode::kNotFound, "There is no {} in {}.", name, path_);
    return fail_errno(fmt::format("Cannot look at {}/{}", path_, name));
  }
  if (S_ISLNK(found.st_mode)) return refused("a symbolic link");
  if (!S_ISREG(found.st_mode)) return refused("no file");
  UniqueFd file(
      ::openat(self_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat opened{};
  if (!file || ::fstat(file.get(), &opened) != 0)
    return fail_errno(fmt::format("Cannot open {}/{}", path_, name));
  if (opened.st_dev != found.st_dev || opened.st_ino != found.st_ino)
    return refused("being replaced");
  if (opened.st_nlink != 1) return refused("also known by another name (a hard link)");
  return file;
}

Result<std::string> ExportFolder::text(const std::string& name, std::size_t bytes_max) const {
  ASSIGN_OR_RETURN(const UniqueFd file, this->file(name));
  std::string content(bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t n = ::read(file.get(), content.data() + size, content.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(fmt::format("Cannot read {}/{}", path_, name));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > bytes_max) {
    return fail(ErrorCode::kInvalidArgument, "{}/{} is larger than {} bytes.", path_, name,
                bytes_max);
  }
  content.resize(size);
  return content;
}

std::vector<std::string> ExportFolder::names() const { return entries(self_.get()); }

}  // namespace drover::archive
