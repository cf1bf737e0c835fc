// SPDX-License-Identifier: Apache-2.0
// The disk of a VM that has left, read block by block: one side of a move's proof (docs/proof.md).
// Nothing may write the image meanwhile. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "content/content_name.h"
#include "content/written_disk.h"
#include "hypervisor/served_image.h"
#include "mover/nbd_reader.h"

namespace drover::move {

class FrozenDisk {
 public:
  // `folder`: of ours alone, for the socket of the image's server; made if one is needed. Errors
  // are qemu-img's and qemu-nbd's.
  static Result<FrozenDisk> open(const std::string& path, const std::string& format,
                                 const std::filesystem::path& folder, MapOf what = MapOf::kDisk);

  // Of a block device: the disk is its first bytes.
  static Result<FrozenDisk> open_volume(const std::string& path, ByteCount size);

  std::uint64_t bytes() const { return map_.virtual_size.bytes; }
  std::uint64_t chunks() const;
  // Names of the chunks from `first` on, `count` or as many as there are; as WrittenDisk names
  // them. Reads what has data.
  Result<std::vector<content::Name>> names(std::uint64_t first, std::uint64_t count);
  // Names of the blocks of these chunks, likewise; none beyond the disk's last whole block.
  Result<std::vector<content::Name>> block_names(std::uint64_t first, std::uint64_t count);

 private:
  FrozenDisk(ImageMap map, UniqueFd file) : map_(std::move(map)), file_(std::move(file)) {}
  using ChunkNames = std::array<content::Name, content::kChunkBlocks>;
  Result<ChunkNames> names_of(std::uint64_t chunk);
  Status read(std::uint64_t block, std::uint64_t end, const DataRange& range,
              std::span<std::uint8_t> out);

  ImageMap map_;
  std::size_t next_range_ = 0;  // of map_.data: none before it ends beyond the last chunk asked for
  UniqueFd file_;               // most of the data lies there as it is
  // For the rest: what is compressed.
  std::optional<ServedImage> image_;
  std::unique_ptr<mover::NbdReader> reader_;
  content::Namer namer_{content::ContentKey{}};
};

}  // namespace drover::move
