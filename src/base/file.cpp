// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/random.h"
#include "base/unique_fd.h"

namespace drover {

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("Cannot open {}", path.string()));
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(fmt::format("Cannot read {}", path.string()));
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > bytes_max) {
      return fail(ErrorCode::kInvalidArgument, "{} is larger than {} bytes.", path.string(),
                  bytes_max);
    }
  }
}

Status write_file_durably(const std::filesystem::path& path, std::string_view content,
                          mode_t mode) {
  const std::filesystem::path temporary = path.string() + ".new-" + random_name(8);
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return fail_errno(fmt::format("Cannot create {}", temporary.string()));
  const auto give_up = [&](const char* what) {
    auto error = fail_errno(fmt::format("Cannot {} {}", what, temporary.string()));
    ::unlink(temporary.c_str());
    return error;
  };
  while (!content.empty()) {
    const ssize_t n = ::write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return give_up("write");
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fchmod(fd.get(), mode) != 0) return give_up("set the mode of");
  if (::fdatasync(fd.get()) != 0) return give_up("sync");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up("rename");
  return sync_folder(path.parent_path());
}

Status sync_folder(const std::filesystem::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("Cannot open {}", folder.string()));
  if (::fsync(fd.get()) != 0) return fail_errno(fmt::format("Cannot sync {}", folder.string()));
  return {};
}

Status make_folder(const std::filesystem::path& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_errno(fmt::format("Cannot create {}", path.string()), error.value());
  if (::chmod(path.c_str(), mode) != 0) {
    return fail_errno(fmt::format("Cannot set the mode of {}", path.string()));
  }
  return {};
}

}  // namespace drover
