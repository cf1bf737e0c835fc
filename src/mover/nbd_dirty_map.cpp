// SPDX-License-Identifier: Apache-2.0
#include "mover/nbd_dirty_map.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/big_endian.h"
#include "mover/nbd_io.h"

namespace drover::mover {

using namespace nbd;

namespace {

constexpr std::uint32_t kStatusBytesMax = 1u << 20;  // of one answer: 131,072 ranges
constexpr std::uint32_t kAskedMax = 1u << 30;        // bytes of the disk at once
constexpr std::uint32_t kDirty = 1;                  // flag of a range of a bitmap
constexpr std::uint32_t kZero = 2;  // of a range of an allocation: it reads as zeros

// Of a range's status these bits have to be between these numbers, both included.
struct Wanted {
  std::uint32_t bits, least, most;
  bool has(std::uint32_t status) const {
    return (status & bits) >= least && (status & bits) <= most;
  }
};

class MapReader {
 public:
  MapReader(UniqueFd socket, Wanted wanted, Deadline deadline)
      : socket_(std::move(socket)), wanted_(wanted), deadline_(deadline) {}

  Result<std::vector<DiskRange>> read(std::string_view export_name, std::string_view context,
                                      std::uint64_t offset, std::uint64_t length);

 private:
  Status shake_hands(std::string_view export_name, std::string_view context);
  // Adds what is wanted; says how many bytes the answer covers.
  Result<std::uint64_t> take_status(std::uint64_t offset, std::uint64_t length,
                                    std::vector<DiskRange>& ranges);
  Status ask(std::uint32_t option, std::span<const std::uint8_t> data);
  Status send(std::span<const std::uint8_t> bytes) {
    return send_all(socket_.get(), bytes, deadline_);
  }
  Status receive(std::span<std::uint8_t> bytes) {
    return receive_all(socket_.get(), bytes, deadline_);
  }
  Result<std::vector<std::uint8_t>> take_chunk(std::uint16_t& flags);

  UniqueFd socket_;
  const Wanted wanted_;
  const Deadline deadline_;
  std::uint32_t context_ = 0;
  bool has_context_ = false;
};

std::vector<std::uint8_t> counted(std::string_view text) {
  std::vector<std::uint8_t> bytes(4 + text.size());
  store_be(bytes.data(), static_cast<std::uint32_t>(text.size()));
  std::ranges::copy(text, bytes.begin() + 4);
  return bytes;
}

// One option, until it is acknowledged.
Status MapReader::ask(std::uint32_t option, std::span<const std::uint8_t> data) {
  std::vector<std::uint8_t> request(16 + data.size());
  store_be(&request[0], kOptionMagic);
  store_be(&request[8], option);
  store_be(&request[12], static_cast<std::uint32_t>(data.size()));
  std::ranges::copy(data, request.begin() + 16);
  RETURN_IF_ERROR(send(request));
  while (true) {
    std::array<std::uint8_t, 20> header{};
    RETURN_IF_ERROR(receive(header));
    const auto type = load_be<std::uint32_t>(&header[12]);
    const auto bytes = load_be<std::uint32_t>(&header[16]);
    if (load_be<std::uint64_t>(&header[0]) != kOptionReplyMagic ||
        load_be<std::uint32_t>(&header[8]) != option || bytes > kOptionReplyBytesMax) {
      return broken("answers an option with something else");
    }
    std::vector<std::uint8_t> reply(bytes);
    RETURN_IF_ERROR(receive(reply));
    if (type == kReplyAck) return {};
    if (type == kReplyContext && option == kOptionSetContext && bytes >= 4) {
      context_ = load_be<std::uint32_t>(reply.data());
      has_context_ = true;
    } else if (type != kReplyInfo) {
      return fail(ErrorCode::kUnavailable, "The hypervisor's NBD server refuses option {}.",
                  option);
    }
  }
}

Status MapReader::shake_hands(std::string_view export_name, std::string_view context) {
  RETURN_IF_ERROR(take_greeting(socket_.get(), deadline_));
  std::array<std::uint8_t, 4> flags{};
  store_be(flags.data(), kClientFlags);
  RETURN_IF_ERROR(send(flags));
  RETURN_IF_ERROR(ask(kOptionStructured, {}));
  std::vector<std::uint8_t> wanted = counted(export_name);
  wanted.insert(wanted.end(), {0, 0, 0, 1});
  std::ranges::copy(counted(context), std::back_inserter(wanted));
  RETURN_IF_ERROR(ask(kOptionSetContext, wanted));
  if (!has_context_)
    return fail(ErrorCode::kUnavailable, "The hypervisor's NBD server has no '{}'.", context);
  std::vector<std::uint8_t> go = counted(export_name);
  go.insert(go.end(), {0, 0});
  return ask(kOptionGo, go);
}

// The content of a chunk of BLOCK_STATUS; empty if it says nothing.
Result<std::vector<std::uint8_t>> MapReader::take_chunk(std::uint16_t& flags) {
  std::array<std::uint8_t, 20> header{};
  RETURN_IF_ERROR(receive(header));
  flags = load_be<std::uint16_t>(&header[4]);
  const auto type = load_be<std::uint16_t>(&header[6]);
  const auto bytes = load_be<std::uint32_t>(&header[16]);
  if (load_be<std::uint32_t>(&header[0]) != kChunkMagic || bytes > kStatusBytesMax)
    return broken("sent no structured reply");
  std::vector<std::uint8_t> content(bytes);
  RETURN_IF_ERROR(receive(content));
  if (type == 0) return std::vector<std::uint8_t>{};
  if (type != kChunkStatus || bytes < 4 || bytes % 8 != 4 ||
      load_be<std::uint32_t>(content.data()) != context_) {
    return fail(ErrorCode::kHypervisor, "The hypervisor's NBD server does not say what is where.");
  }
  return content;
}

Result<std::uint64_t> MapReader::take_status(std::uint64_t offset, std::uint64_t length,
                                             std::vector<DiskRange>& ranges) {
  const auto asked = static_cast<std::uint32_t>(std::min<std::uint64_t>(length, kAskedMax));
  std::array<std::uint8_t, kRequestBytes> request{};
  store_be(&request[0], kRequestMagic);
  store_be(&request[6], kCommandStatus);
  store_be(&request[16], offset);
  store_be(&request[24], asked);
  RETURN_IF_ERROR(send(request));
  std::uint64_t covered = 0;
  std::uint16_t flags = 0;
  while ((flags & kChunkDone) == 0) {
    ASSIGN_OR_RETURN(const auto content, take_chunk(flags));
    for (std::size_t at = 4; at < content.size(); at += 8) {
      const std::uint64_t bytes = load_be<std::uint32_t>(&content[at]);
      const std::uint64_t from = offset + covered;
      const std::uint64_t inside = std::min(bytes, asked - std::min<std::uint64_t>(covered, asked));
      covered += inside;
      if (!wanted_.has(load_be<std::uint32_t>(&content[at + 4])) || inside == 0) continue;
      if (!ranges.empty() && ranges.back().offset + ranges.back().length == from)
        ranges.back().length += inside;
      else
        ranges.push_back({from, inside});
    }
  }
  if (covered == 0) return broken("says nothing of what is where");
  return covered;
}

Result<std::vector<DiskRange>> MapReader::read(std::string_view export_name,
                                               std::string_view context, std::uint64_t offset,
                                               std::uint64_t length) {
  RETURN_IF_ERROR(shake_hands(export_name, context));
  std::vector<DiskRange> ranges;
  for (std::uint64_t done = 0; done < length;) {
    ASSIGN_OR_RETURN(const auto covered, take_status(offset + done, length - done, ranges));
    done += covered;
  }
  return ranges;
}

}  // namespace

Result<std::vector<DirtyRange>> dirty_ranges(UniqueFd socket, std::string_view export_name,
                                             std::string_view bitmap, std::uint64_t offset,
                                             std::uint64_t length, Deadline deadline) {
  return MapReader(std::move(socket), {kDirty, kDirty, kDirty}, deadline)
      .read(export_name, fmt::format("qemu:dirty-bitmap:{}", bitmap), offset, length);
}

Result<std::vector<DiskRange>> data_ranges(UniqueFd socket, std::string_view export_name,
                                           std::uint64_t length, Deadline deadline) {
  return MapReader(std::move(socket), {kZero, 0, 0}, deadline)
      .read(export_name, "base:allocation", 0, length);
}

Result<std::vector<DiskRange>> upper_ranges(UniqueFd socket, std::string_view export_name,
                                            std::uint32_t images, std::uint64_t length,
                                            Deadline deadline) {
  // 0: none of them holds it.
  return MapReader(std::move(socket), {~std::uint32_t{0}, 1, images}, deadline)
      .read(export_name, "qemu:allocation-depth", 0, length);
}

}  // namespace drover::mover
