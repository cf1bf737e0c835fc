// SPDX-License-Identifier: Apache-2.0
#include "archive/picture_copy.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "hypervisor/qcow2_layout.h"
#include "mover/nbd_dirty_map.h"
#include "mover/nbd_reader.h"
#include "net/unix_socket.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;
using Part = Qcow2Layout::Part;

// While some hash, QEMU reads for the others.
constexpr unsigned kReadersLeast = 3, kReadersMost = 6;
constexpr auto kOpenLimit = 30s;
constexpr auto kReadLimit = 120s;  // of a piece: the disk's storage may be slow, but not dead
constexpr auto kMapLimit = 600s;   // of a large disk whose tables are not in memory

// A picture's own image has what the guest overwrote since, and below that is the disk's.
constexpr std::uint32_t kImagesOfDisk = 2;

Result<UniqueFd> connect(const PictureCopyCall& call) {
  return net::connect_unix(call.socket, net::SocketKind::kStream, Deadline::after(kOpenLimit));
}

// The image that the disk becomes, though nothing of it is anywhere yet.
class PictureImage final : public ByteSource {
 public:
  static Result<PictureImage> open(const PictureCopyCall& call);

  std::uint64_t size() const override { return layout_ ? layout_->file_bytes() : disk_bytes_; }
  unsigned readers() const override { return static_cast<unsigned>(readers_.size()); }
  bool is_hole(std::uint64_t offset, std::uint64_t length) const override;
  Status read(unsigned reader, std::uint64_t offset, std::span<char> into) override;

 private:
  PictureImage() = default;
  // REQUIRES: `into` has a multiple of the blocks' number.
  Status read_disk(unsigned reader, std::span<const std::uint64_t> blocks, std::span<char> into);

  std::vector<std::unique_ptr<mover::NbdReader>> readers_;
  std::uint64_t disk_bytes_ = 0;
  std::optional<Qcow2Layout> layout_;  // none: a raw image, which is as the disk
  std::vector<ByteRange> data_;        // in order
};

std::vector<ByteRange> byte_ranges(std::span<const mover::DiskRange> ranges) {
  std::vector<ByteRange> same;
  for (const mover::DiskRange& range : ranges) same.push_back({range.offset, range.length});
  return same;
}

// Those of `data` that lie in a cluster of which any byte is in `own`. Both in order.
std::vector<ByteRange> data_of_own(std::span<const ByteRange> data, std::span<const ByteRange> own,
                                   std::uint64_t cluster) {
  std::vector<ByteRange> found;
  auto next = data.begin();
  for (const ByteRange& range : own) {
    std::uint64_t from = range.offset / cluster * cluster;
    const std::uint64_t end = (range.offset + range.length + cluster - 1) / cluster * cluster;
    if (!found.empty()) from = std::max(from, found.back().offset + found.back().length);
    while (next != data.end() && next->offset + next->length <= from) ++next;
    for (auto here = next; here != data.end() && here->offset < end; ++here) {
      const std::uint64_t first = std::max(from, here->offset);
      found.push_back({first, std::min(end, here->offset + here->length) - first});
    }
  }
  return found;
}

Result<PictureImage> PictureImage::open(const PictureCopyCall& call) {
  PictureImage image;
  const unsigned readers =
      std::clamp(std::thread::hardware_concurrency() + 1, kReadersLeast, kReadersMost);
  while (image.readers_.size() < readers) {
    ASSIGN_OR_RETURN(UniqueFd socket, connect(call));
    ASSIGN_OR_RETURN(auto reader, mover::NbdReader::open(std::move(socket), call.name,
                                                         Deadline::after(kOpenLimit)));
    if (reader->export_bytes() != call.virtual_size.bytes)
      return fail(ErrorCode::kConflict, "{} has another size by now.", call.name);
    image.readers_.push_back(std::move(reader));
  }
  image.disk_bytes_ = call.virtual_size.bytes;
  ASSIGN_OR_RETURN(UniqueFd socket, connect(call));
  ASSIGN_OR_RETURN(const auto ranges,
                   mover::data_ranges(std::move(socket), call.name, image.disk_bytes_,
                                      Deadline::after(kMapLimit)));
  image.data_ = byte_ranges(ranges);
  if (call.format == "raw") return image;
  if (!call.base) {
    ASSIGN_OR_RETURN(image.layout_,
                     Qcow2Layout::make(call.virtual_size, call.cluster_size, image.data_));
    return image;
  }
  ASSIGN_OR_RETURN(socket, connect(call));
  ASSIGN_OR_RETURN(const auto upper,
                   mover::upper_ranges(std::move(socket), call.name, kImagesOfDisk,
                                       image.disk_bytes_, Deadline::after(kMapLimit)));
  const Qcow2Base base{call.base->file, call.base->format, byte_ranges(upper)};
  const auto own =
      data_of_own(image.data_, base.zeros, Qcow2Layout::cluster_for(call.cluster_size));
  ASSIGN_OR_RETURN(image.layout_,
                   Qcow2Layout::make(call.virtual_size, call.cluster_size, own, &base));
  return image;
}

bool PictureImage::is_hole(std::uint64_t offset, std::uint64_t length) const {
  if (layout_) return false;  // every cluster in it has data
  // The first one that ends behind `offset`.
  const auto range = std::ranges::upper_bound(
      data_, offset, {}, [](const ByteRange& one) { return one.offset + one.length; });
  return range == data_.end() || range->offset >= offset + length;
}

// Parts of the disk that follow each other in the image are asked for at once, wherever they lie in
// the disk.
Status PictureImage::read(unsigned reader, std::uint64_t offset, std::span<char> into) {
  if (!layout_) return read_disk(reader, {&offset, 1}, into);
  const std::uint64_t block = std::min(layout_->cluster_bytes(), kHashPiece);
  std::vector<std::uint64_t> blocks;
  std::span<char> blocks_into = into.first(0);
  for (const Part& part : layout_->parts({offset, into.size()})) {
    const std::span<char> here = into.first(part.length);
    into = into.subspan(part.length);
    if (part.kind == Part::Kind::kTables) {
      layout_->write_tables(part.from, here);
    } else if (part.kind == Part::Kind::kZeros) {
      std::ranges::fill(here, '\0');
    } else if (part.length % block != 0) {  // the end of the disk
      RETURN_IF_ERROR(read_disk(reader, {&part.from, 1}, here));
    } else {
      if (blocks.empty()) blocks_into = here;
      for (std::uint64_t at = 0; at < part.length; at += block) blocks.push_back(part.from + at);
    }
  }
  return blocks.empty() ? Status{}
                        : read_disk(reader, blocks, {blocks_into.data(), blocks.size() * block});
}

Status PictureImage::read_disk(unsigned reader, std::span<const std::uint64_t> blocks,
                               std::span<char> into) {
  return readers_[reader]->read(blocks, into.size() / blocks.size(),
                                {reinterpret_cast<std::uint8_t*>(into.data()), into.size()},
                                Deadline::after(kReadLimit));
}

}  // namespace

Result<HashedFile> copy_picture(const PictureCopyCall& call, int to, const CopyWatch& watch) {
  ASSIGN_OR_RETURN(PictureImage image, PictureImage::open(call));
  return copy_bytes(image, to, call.name, watch);
}

}  // namespace drover::archive
