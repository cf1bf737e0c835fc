// SPDX-License-Identifier: Apache-2.0
#include "archive/image_lock.h"

#include <fcntl.h>

namespace drover::archive {
namespace {

// QEMU's file-posix.c: RAW_LOCK_PERM_BASE, and the bit of BLK_PERM_WRITE. Who may write holds a
// read lock on it.
constexpr off_t kWritesByte = 100 + 1;

}  // namespace

Status check_unwritten(int image, const std::string& path) {
  struct flock lock{};  // l_pid must be 0 for locks of a description
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kWritesByte;
  lock.l_len = 1;
  if (::fcntl(image, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return {};
  return fail(ErrorCode::kConflict,
              "{} is in use: another process may write it. Fix: shut the VM off that runs from it.",
              path);
}

}  // namespace drover::archive
