// SPDX-License-Identifier: Apache-2.0
#include "move/frozen_disk.h"

#include <algorithm>
#include <array>
#include <thread>

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
                                    const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(ImageMap map, map_image(path, format));
  RETURN_IF_ERROR(make_folder(folder, 0700));
  const auto socket = folder / "frozen.sock";
  ::unlink(socket.c_str());  // of a droverd that was killed
  ASSIGN_OR_RETURN(ServedImage image, ServedImage::start(path, format, socket));
  auto connected = connect(image);
  if (!connected)
    return std::unexpected(wrap(connected.error(), fmt::format("Cannot read {}.", path)));
  ASSIGN_OR_RETURN(auto reader,
                   mover::NbdReader::open(std::move(*connected), "", Deadline::after(kReadLimit)));
  return FrozenDisk(std::move(map), std::move(image), std::move(reader));
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
    ASSIGN_OR_RETURN(names.emplace_back(), name(chunk));
  }
  return names;
}

// Blocks without data are zero and need not be read.
Result<content::Name> FrozenDisk::name(std::uint64_t chunk) {
  const std::uint64_t first = chunk * kChunkBlocks;
  const std::uint64_t end = std::min(first + kChunkBlocks, bytes() / kBlockBytes);
  const auto& data = map_.data;
  while (next_range_ < data.size() &&
         data[next_range_].offset + data[next_range_].length <= first * kBlockBytes) {
    ++next_range_;
  }
  std::vector<std::uint64_t> offsets;
  std::uint64_t block = first;
  for (std::size_t i = next_range_; i < data.size(); ++i) {
    block = std::max(block, data[i].offset / kBlockBytes);
    const std::uint64_t behind = (data[i].offset + data[i].length + kBlockBytes - 1) / kBlockBytes;
    for (; block < std::min(behind, end); ++block) offsets.push_back(block * kBlockBytes);
    if (block >= end) break;
  }
  std::array<content::Name, kChunkBlocks> names{};
  static_assert(content::kZeroName == content::Name{});
  if (offsets.empty()) return content::kZeroName;
  std::vector<std::uint8_t> bytes(offsets.size() * kBlockBytes);
  RETURN_IF_ERROR(reader_->read(offsets, kBlockBytes, bytes, Deadline::after(kReadLimit)));
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const auto content = std::span(bytes).subspan(i * kBlockBytes).first<kBlockBytes>();
    if (!content::is_zero(content)) names[offsets[i] / kBlockBytes - first] = namer_.name(content);
  }
  return content::chunk_name(namer_, names);
}

}  // namespace drover::move
