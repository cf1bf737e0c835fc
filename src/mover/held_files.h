// SPDX-License-Identifier: Apache-2.0
// Files that the destination holds already, as descriptors which droverd opened for reading
// (docs/mover_protocol.md, "Held content"). Never written by us. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "content/destination_content.h"
#include "content/page_cipher.h"

namespace drover::mover {

// Guest memory that was kept of an earlier move, encrypted (docs/residue.md).
struct KeptMemory {
  UniqueFd file;
  content::PageKey key{};
};

class HeldFiles : public content::HeldReader {
 public:
  // `own`: disks of this VM, from an earlier move. `group`: of VMs of its group, which may run and
  // write them. REQUIRES: at most kOwnDisksMax and kGroupFilesMax.
  // `memory` is number kKeptMemoryFile.
  explicit HeldFiles(std::vector<UniqueFd> own, std::vector<UniqueFd> group = {},
                     std::optional<KeptMemory> memory = {});

  bool empty() const { return files_.empty(); }
  bool has(std::uint8_t file) const override {
    return file < files_.size() && files_[file].get() >= 0;
  }
  Status read(std::uint8_t file, std::span<const std::uint64_t> offsets,
              std::span<std::uint8_t> out) override;

  struct Extent {
    std::uint64_t begin = 0;  // bytes
    std::uint64_t end = 0;
  };
  // The next bytes from `from` on that are not a hole. Nothing: there are none, or the file cannot
  // be asked.
  std::optional<Extent> next_extent(std::uint8_t file, std::uint64_t from) const;
  // How many of the bytes at `offset` could be read: all, unless the file ends or fails.
  // REQUIRES: whole blocks at a multiple of kBlockBytes; a file may end within the last.
  std::size_t read_at(std::uint8_t file, std::uint64_t offset, std::span<std::uint8_t> out) const;

 private:
  void decrypt(std::uint64_t offset, std::span<std::uint8_t> blocks) const;

  std::vector<UniqueFd> files_;  // by number; none: there is no such file
  content::PageKey key_{};       // of the kept memory
};

}  // namespace drover::mover
