// SPDX-License-Identifier: Apache-2.0
#include "move/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace drover::move {

Result<UniqueFd> open_regular(const std::string& path, int flags) {
  UniqueFd file(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0) return fail_errno("Cannot open " + path);
  if (!S_ISREG(found.st_mode)) return fail(ErrorCode::kConflict, "{} is no regular file.", path);
  return file;
}

}  // namespace drover::move
