// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_mark.h"

#include <array>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/big_endian.h"
#include "base/random.h"
#include "hypervisor/allowed_folder.h"

namespace drover {
namespace {

// Behind any image; with the longest mark still a place that a file may have.
constexpr std::uint64_t kFirstPlace = std::uint64_t{1} << 56;
constexpr std::uint64_t kPlaces = std::uint64_t{1} << 60;
// Not guessed, and so short that two marks of one image hardly ever meet.
constexpr std::uint64_t kLengths = std::uint64_t{1} << 40;

std::uint64_t some_number() {
  std::array<std::uint8_t, 8> random{};
  fill_random(random);
  return load_be<std::uint64_t>(random.data());
}

struct flock lock_of(short type, ImageMark mark) {
  struct flock lock{};  // l_pid must be 0 for locks of a description
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(mark.start);
  lock.l_len = static_cast<off_t>(mark.length);
  return lock;
}

// Looked at first: opening some kinds of files does something.
Result<UniqueFd> open_beneath(const std::string& path, std::span<const std::string> allowed) {
  if (!is_plain_path(path))
    return fail(ErrorCode::kPermission, "{} is not a plain absolute path.", path);
  const std::filesystem::path whole(path);
  const std::string name = whole.filename().string();
  ASSIGN_OR_RETURN(const UniqueFd folder,
                   open_allowed_folder(whole.parent_path().string(), allowed));
  struct stat found{};
  if (::fstatat(folder.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return fail(ErrorCode::kNotFound, "There is no {}.", path);
    return fail_errno("Cannot look at " + path);
  }
  if (!S_ISREG(found.st_mode)) return fail(ErrorCode::kConflict, "{} is not a file.", path);
  UniqueFd file(
      ::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  struct stat opened{};
  if (::fstat(file.get(), &opened) != 0) return fail_errno("Cannot look at " + path);
  if (opened.st_dev != found.st_dev || opened.st_ino != found.st_ino)
    return fail(ErrorCode::kConflict, "{} was replaced by another file.", path);
  return file;
}

}  // namespace

Result<MarkedImage> MarkedImage::mark(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return fail_errno("Cannot look at " + path);
  if (!S_ISREG(found.st_mode)) return fail(ErrorCode::kConflict, "{} is not a file.", path);
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  const ImageMark where{kFirstPlace + some_number() % kPlaces, 1 + some_number() % kLengths};
  struct flock lock = lock_of(F_RDLCK, where);
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return fail_errno("Cannot mark " + path);
  return MarkedImage(std::move(file), where);
}

Result<std::optional<ImageMark>> find_mark(const std::string& path, std::uint64_t start,
                                           std::span<const std::string> allowed_folders) {
  if (start < kFirstPlace || start >= kFirstPlace + kPlaces)
    return fail(ErrorCode::kProtocol, "No mark lies at {} of an image.", start);
  ASSIGN_OR_RETURN(const UniqueFd file, open_beneath(path, allowed_folders));
  struct flock lock = lock_of(F_WRLCK, {start, 1});
  if (::fcntl(file.get(), F_OFD_GETLK, &lock) != 0)
    return fail_errno("Cannot look for a mark on " + path);
  if (lock.l_type == F_UNLCK || lock.l_whence != SEEK_SET || lock.l_len <= 0 ||
      lock.l_start != static_cast<off_t>(start))
    return std::optional<ImageMark>();
  return std::optional(ImageMark{start, static_cast<std::uint64_t>(lock.l_len)});
}

}  // namespace drover
