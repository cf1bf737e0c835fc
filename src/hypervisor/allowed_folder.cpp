// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/allowed_folder.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

namespace drover {
namespace {

std::string without_trailing_slash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

bool is_beneath(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/');
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

// The shortest allowed folder would give the most room to links, so the longest one is taken.
std::string best_match(std::string_view path, std::span<const std::string> allowed) {
  std::string best;
  for (const auto& entry : allowed) {
    const std::string folder = without_trailing_slash(entry);
    if (is_plain_path(folder) && is_beneath(path, folder) && folder.size() > best.size())
      best = folder;
  }
  return best;
}

UniqueFd open_beneath(int folder, const std::string& relative) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, folder, relative.c_str(), &how, sizeof how)));
}

}  // namespace

bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() >= PATH_MAX) return false;
  if (std::any_of(path.begin(), path.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return false;
  }
  if (path == "/") return true;
  std::string_view rest = path.substr(1);
  while (true) {
    const auto slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty() || component == "." || component == ".." || component.size() > NAME_MAX)
      return false;
    if (slash == std::string_view::npos) return true;
    rest.remove_prefix(slash + 1);
  }
}

bool is_allowed(std::string_view path, std::span<const std::string> allowed) {
  const std::string plain = without_trailing_slash(path);
  return is_plain_path(plain) && !best_match(plain, allowed).empty();
}

Result<UniqueFd> open_allowed_folder(std::string_view folder,
                                     std::span<const std::string> allowed) {
  const std::string plain = without_trailing_slash(folder);
  if (!is_plain_path(plain))
    return fail(ErrorCode::kPermission, "{} is not a plain absolute path.", folder);
  const std::string base = best_match(plain, allowed);
  if (base.empty()) return fail(ErrorCode::kPermission, "{} is not an allowed folder.", plain);

  // The allowed folder is the administrator's own word: links on the way to it are theirs and are
  // followed.
  UniqueFd found(::open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (found && plain != base) {
    const std::string relative = plain.substr(base == "/" ? 1 : base.size() + 1);
    found = open_beneath(found.get(), relative);
  }
  if (found) return found;
  if (errno == ELOOP || errno == EXDEV) {
    return fail(ErrorCode::kPermission, "The way to {} leads through a symbolic link.", plain);
  }
  if (errno == ENOENT) return fail(ErrorCode::kNotFound, "There is no folder {}.", plain);
  if (errno == ENOTDIR) return fail(ErrorCode::kNotFound, "{} is not a folder.", plain);
  return fail_errno("Cannot open " + plain);
}

}  // namespace drover
