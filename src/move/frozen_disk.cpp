// SPDX-License-Identifier: Apache-2.0
#include "move/frozen_disk.h"

#include <algorithm>
#include <array>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using content::kBlockBytes;
using content::kChunkBlocks;
using content::kChunkBytes;

constexpr auto kServerStarts = 10s;
constexpr auto kReadLimit = 30s;  // 1 MiB, of a disk that may be slow

Result<UniqueFd> connect(ServedImage& image) {
  const Deadline limit = Deadline::after(kServerStarts);
  while (true) {
    auto socket = net::connect_unix(image.socket(), net::SocketKind::kStream, limit);
    if (socket) return socket;
    if (image.ended()) return fail(ErrorCode::kSystem, "qemu-nbd cannot read the image.");
    if (limit.expired()) return socket;
    std::this_thread::sleep_for(10ms);
  }
}

}  // namespace

Result<FrozenDisk> FrozenDisk::open(const std::string& path, const std::string& format,
                                    const std::filesystem::path& folder, MapOf what) {
  ASSIGN_OR_RETURN(ImageMap map, map_image(path, format, what));
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(fmt::format("Cannot open {}", path));
  const bool plain = std::ranges::all_of(map.data, [&](const DataRange& range) {
    const std::uint64_t end = range.offset + range.length;
    return range.in_file && range.offset % kBlockBytes == 0 &&
           (end % kBlockBytes == 0 || end == map.virtual_size.bytes);
  });
  FrozenDisk disk(std::move(map), std::move(file));
  if (plain) return disk;
  RETURN_IF_ERROR(make_folder(folder, 0700));
  const auto socket = folder / "frozen.sock";
  ::unlink(socket.c_str());  // of a droverd that was killed
  ASSIGN_OR_RETURN(ServedImage image, ServedImage::start(path, format, socket));
  disk.image_.emplace(std::move(image));
  auto connected = connect(*disk.image_);
  if (!connected)
    return std::unexpected(wrap(connected.error(), fmt::format("Cannot read {}.", path)));
  ASSIGN_OR_RETURN(disk.reader_,
                   mover::NbdReader::open(std::move(*connected), "", Deadline::after(kReadLimit)));
  return disk;
}

Result<FrozenDisk> FrozenDisk::open_volume(const std::string& path, ByteCount size) {
  UniqueFd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!device) return fail_errno(fmt::format("Cannot open {}", path));
  return FrozenDisk({size, {{0, size.bytes, 0}}}, std::move(device));
}

std::uint64_t FrozenDisk::chunks() const {
  const std::uint64_t blocks = bytes() / kBlockBytes;
  return (blocks + kChunkBlocks - 1) / kChunkBlocks;
}

Result<std::vector<content::Name>> FrozenDisk::names(std::uint64_t first, std::uint64_t count) {
  std::vector<content::Name> names;
  const std::uint64_t end = std::min(chunks(), first + count);
  next_range_ = 0;
  for (std::uint64_t chunk = first; chunk < end; ++chunk) {
    ASSIGN_OR_RETURN(const ChunkNames blocks, names_of(chunk));
    names.push_back(content::chunk_name(blocks));
  }
  return names;
}

Result<std::vector<content::Name>> FrozenDisk::block_names(std::uint64_t first,
                                                           std::uint64_t count) {
  std::vector<content::Name> names;
  const std::uint64_t end = std::min(chunks(), first + count);
  next_range_ = 0;
  for (std::uint64_t chunk = first; chunk < end; ++chunk) {
    ASSIGN_OR_RETURN(const ChunkNames blocks, names_of(chunk));
    names.insert(names.end(), blocks.begin(), blocks.end());
  }
  const std::uint64_t blocks =
      bytes() / kBlockBytes - std::min(first * kChunkBlocks, bytes() / kBlockBytes);
  names.resize(std::min<std::uint64_t>(names.size(), blocks));
  return names;
}

// Blocks without data are zero and need not be read.
Result<FrozenDisk::ChunkNames> FrozenDisk::names_of(std::uint64_t chunk) {
  const std::uint64_t first = chunk * kChunkBlocks;
  const std::uint64_t end = std::min(first + kChunkBlocks, bytes() / kBlockBytes);
  const auto& data = map_.data;
  while (next_range_ < data.size() &&
         data[next_range_].offset + data[next_range_].length <= first * kBlockBytes) {
    ++next_range_;
  }
  ChunkNames names{};
  static_assert(content::kZeroName == content::Name{});
  std::vector<std::uint8_t> bytes;
  std::uint64_t done = first;
  for (std::size_t i = next_range_; i < data.size() && done < end; ++i) {
    const std::uint64_t from = std::max(done, data[i].offset / kBlockBytes);
    const std::uint64_t behind = (data[i].offset + data[i].length + kBlockBytes - 1) / kBlockBytes;
    const std::uint64_t to = std::min(behind, end);
    done = std::max(done, to);
    if (from >= to) continue;
    bytes.resize((to - from) * kBlockBytes);
    RETURN_IF_ERROR(read(from, to, data[i], bytes));
    for (std::uint64_t block = from; block < to; ++block) {
      const auto content =
          std::span(bytes).subspan((block - from) * kBlockBytes).first<kBlockBytes>();
      if (!content::is_zero(content)) names[block - first] = namer_.name(content);
    }
  }
  return names;
}

// Whole blocks from the file; those that the range covers in part, and all without a place there,
// from the server.
Status FrozenDisk::read(std::uint64_t block, std::uint64_t end, const DataRange& range,
                        std::span<std::uint8_t> out) {
  const bool whole =
      block * kBlockBytes >= range.offset && end * kBlockBytes <= range.offset + range.length;
  if (!range.in_file || !whole) {
    if (reader_ == nullptr) return fail(ErrorCode::kSystem, "A part of a block cannot be read.");
    std::vector<std::uint64_t> offsets;
    for (; block < end; ++block) offsets.push_back(block * kBlockBytes);
    return reader_->read(offsets, kBlockBytes, out, Deadline::after(kReadLimit));
  }
  const std::uint64_t at = *range.in_file + (block * kBlockBytes - range.offset);
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        ::pread(file_.get(), out.data() + done, out.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot read the image");
    // The last cluster of a file may be short; the rest of it is zero.
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(done), out.end(), std::uint8_t{0});
  return {};
}

}  // namespace drover::move
