// SPDX-License-Identifier: Apache-2.0
#include "gate/fence.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace drover::gate {
namespace {

Status set_lock(const FencedDisk& disk, short type) {
  struct flock lock{};  // l_pid must be 0 for locks of a description
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kFenceByte;
  lock.l_len = 1;
  if (::fcntl(disk.image.get(), F_OFD_SETLK, &lock) == 0) return {};
  if (errno == EAGAIN || errno == EACCES) {
    return fail(ErrorCode::kConflict,
                "Disk {} cannot be fenced: another process holds a write lock on its byte {}.",
                disk.target, kFenceByte);
  }
  return fail_errno(fmt::format("Cannot {} disk {}",
                                type == F_UNLCK ? "lift the fence of" : "fence", disk.target));
}

}  // namespace

Status Fence::take() {
  for (const FencedDisk& disk : disks_) {
    if (auto status = set_lock(disk, F_RDLCK); !status) {
      static_cast<void>(lift());  // the first error is the one to tell
      return status;
    }
  }
  return {};
}

Status Fence::check_no_writer() const {
  for (const FencedDisk& disk : disks_) {
    struct flock lock{};  // as in set_lock()
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = kWriterByte;
    lock.l_len = 1;
    if (::fcntl(disk.image.get(), F_OFD_GETLK, &lock) != 0)
      return fail_errno(fmt::format("Cannot look at the locks of disk {}", disk.target));
    if (lock.l_type == F_UNLCK) continue;
    return fail(ErrorCode::kConflict, "Disk {} is open for writing: a QEMU holds its byte {}.",
                disk.target, kWriterByte);
  }
  return {};
}

Status Fence::lift() {
  Status status;
  for (const FencedDisk& disk : disks_) {
    if (auto lifted = set_lock(disk, F_UNLCK); !lifted && status) status = std::move(lifted);
  }
  return status;
}

}  // namespace drover::gate
