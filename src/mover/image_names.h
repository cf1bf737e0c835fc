// SPDX-License-Identifier: Apache-2.0
// Where in the files of this move's own images content lies, found by naming what QEMU has put
// there: reading a file costs a hundredth of asking QEMU's NBD server for a block, and needs no
// word of the image's format, for clusters are aligned (docs/mover_protocol.md, "Disks read back").
// The files are open for reading and grow meanwhile. One thread of its own; any thread may ask.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "content/content_name.h"
#include "content/disk_index.h"
#include "mover/held_files.h"

namespace drover::mover {

class ImageNames {
 public:
  // REQUIRES: at most content::kOwnDisksMax images.
  ImageNames(const content::ContentKey& key, std::vector<UniqueFd> images);

  // A block that had this name when it was looked at; whoever takes it names it again, for QEMU
  // writes the file. False: none is known.
  bool read(const content::Name& name, std::span<std::uint8_t, content::kBlockBytes> out);

 private:
  struct Image {
    std::uint64_t named = 0;  // bytes from the start on that have been looked at
    std::uint64_t end = 0;    // of the data, a look ago: no write of ours is under way before it
  };
  void name_all(const std::stop_token& stop);
  void look_at(std::uint8_t file, const std::stop_token& stop);
  void name_extent(std::uint8_t file, const HeldFiles::Extent& extent, const std::stop_token& stop);
  void name_step(std::uint8_t file, std::uint64_t block, std::span<const std::uint8_t> bytes);

  const HeldFiles files_;
  const content::Namer namer_;  // of the thread alone
  std::vector<Image> images_;   // likewise
  std::mutex mutex_;            // guards the index; a leaf
  content::DiskIndex index_;
  std::jthread thread_;
};

}  // namespace drover::mover
