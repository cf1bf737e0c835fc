// SPDX-License-Identifier: Apache-2.0
// The fence around the source's copied disks: an open-file-description read lock on byte 201 of
// each image, which is QEMU's "I do not share the right to write" (QEMU's file-posix.c). While it
// is held no QEMU can open or re-activate the image for writing: `cont` fails with 'Failed to get
// "write" lock'.
//
// The lock belongs to the open file description, not to a process. droverd opens the description,
// hands copies to the gate and to the VM's own QEMU (add-fd) before the move, and keeps one itself:
// the lock ends when lift() is called or the last copy is closed, so the death of Drover's
// processes alone does not end it. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::gate {

inline constexpr long kFenceByte = 201;
// QEMU's "I may write", held as long as it may.
inline constexpr long kWriterByte = 101;

struct FencedDisk {
  std::string target;  // "vda"
  UniqueFd image;      // open for reading
};

class Fence {
 public:
  explicit Fence(std::vector<FencedDisk> disks) : disks_(std::move(disks)) {}
  // Leaves the locks as they are.
  ~Fence() = default;
  Fence(Fence&&) = default;
  Fence& operator=(Fence&&) = default;

  // All or none: kConflict names the disk that another process still may write; the fence is
  // lifted again. Safe to run twice.
  Status take();
  // kConflict names the disk that a QEMU has open for writing: the fence keeps others out, and does
  // not see who was there before it.
  Status check_no_writer() const;
  // Safe to run twice. An error names the first disk whose lock may still be held.
  Status lift();
  std::size_t size() const { return disks_.size(); }

 private:
  std::vector<FencedDisk> disks_;
};

}  // namespace drover::gate
