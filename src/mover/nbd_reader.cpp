// SPDX-License-Identifier: Apache-2.0
#include "mover/nbd_reader.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/big_endian.h"
#include "mover/nbd_io.h"

namespace drover::mover {

using namespace nbd;

namespace {

// QEMU works on 16 requests of a connection at once; more would wait in its socket.
constexpr std::size_t kRunsAtOnce = 16;

}  // namespace

struct NbdReader::Run {
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::size_t at = 0;  // in the caller's buffer
};

Result<std::unique_ptr<NbdReader>> NbdReader::open(UniqueFd socket, std::string_view export_name,
                                                   Deadline deadline) {
  std::unique_ptr<NbdReader> reader(new NbdReader(std::move(socket)));
  RETURN_IF_ERROR(reader->shake_hands(export_name, deadline));
  return reader;
}

Status NbdReader::shake_hands(std::string_view export_name, Deadline deadline) {
  RETURN_IF_ERROR(take_greeting(socket_.get(), deadline));
  const auto name_bytes = static_cast<std::uint32_t>(export_name.size());
  std::vector<std::uint8_t> go(4 + 16 + 4 + export_name.size() + 2);
  store_be(&go[0], kClientFlags);
  store_be(&go[4], kOptionMagic);
  store_be(&go[12], kOptionGo);
  store_be(&go[16], name_bytes + 6);
  store_be(&go[20], name_bytes);
  std::ranges::copy(export_name, go.begin() + 24);
  RETURN_IF_ERROR(send_all(socket_.get(), go, deadline));
  bool done = false;
  while (!done) RETURN_IF_ERROR(take_export_reply(done, deadline));
  return {};
}

Status NbdReader::take_export_reply(bool& done, Deadline deadline) {
  std::array<std::uint8_t, 20> header{};
  RETURN_IF_ERROR(receive_all(socket_.get(), header, deadline));
  const auto type = load_be<std::uint32_t>(&header[12]);
  const auto bytes = load_be<std::uint32_t>(&header[16]);
  if (load_be<std::uint64_t>(&header[0]) != kOptionReplyMagic ||
      load_be<std::uint32_t>(&header[8]) != kOptionGo || bytes > kOptionReplyBytesMax) {
    return broken("answers GO with something else");
  }
  std::vector<std::uint8_t> data(bytes);
  RETURN_IF_ERROR(receive_all(socket_.get(), data, deadline));
  if (type == kReplyInfo && bytes >= 12 && load_be<std::uint16_t>(&data[0]) == kInfoExport) {
    export_bytes_ = load_be<std::uint64_t>(&data[2]);
    export_flags_ = load_be<std::uint16_t>(&data[10]);
  }
  if (type == kReplyAck) done = true;
  if (type != kReplyAck && type != kReplyInfo)
    return fail(ErrorCode::kUnavailable, "The hypervisor's NBD server refuses the export.");
  return {};
}

Status NbdReader::read(std::span<const std::uint64_t> offsets, std::size_t block_bytes,
                       std::span<std::uint8_t> out, Deadline deadline) {
  DROVER_CHECK(out.size() == offsets.size() * block_bytes);
  std::vector<Run> runs;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i] > export_bytes_ || export_bytes_ - offsets[i] < block_bytes)
      return fail(ErrorCode::kInvalidArgument, "A block lies beyond the end of the disk.");
    if (!runs.empty() && runs.back().offset + runs.back().bytes == offsets[i])
      runs.back().bytes += block_bytes;
    else
      runs.push_back({offsets[i], block_bytes, i * block_bytes});
  }
  for (std::size_t first = 0; first < runs.size(); first += kRunsAtOnce) {
    const auto batch =
        std::span(runs).subspan(first).first(std::min(kRunsAtOnce, runs.size() - first));
    std::vector<std::uint8_t> requests(batch.size() * kRequestBytes);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::uint8_t* request = &requests[i * kRequestBytes];
      store_be(request, kRequestMagic);
      store_be(request + 6, kCommandRead);
      store_be(request + 8, std::uint64_t{i});  // the cookie
      store_be(request + 16, batch[i].offset);
      store_be(request + 24, static_cast<std::uint32_t>(batch[i].bytes));
    }
    RETURN_IF_ERROR(send_all(socket_.get(), requests, deadline));
    for (std::size_t i = 0; i < batch.size(); ++i)
      RETURN_IF_ERROR(take_reply(batch, out, deadline));
  }
  return {};
}

Status NbdReader::take_reply(std::span<const Run> runs, std::span<std::uint8_t> out,
                             Deadline deadline) {
  std::array<std::uint8_t, 16> header{};
  RETURN_IF_ERROR(receive_all(socket_.get(), header, deadline));
  const auto cookie = load_be<std::uint64_t>(&header[8]);
  if (load_be<std::uint32_t>(&header[0]) != kSimpleReplyMagic || cookie >= runs.size())
    return broken("sent a reply that answers nothing");
  if (const auto error = load_be<std::uint32_t>(&header[4]); error != 0)
    return fail(ErrorCode::kHypervisor, "The hypervisor's NBD server reports error {}.", error);
  return receive_all(socket_.get(), out.subspan(runs[cookie].at, runs[cookie].bytes), deadline);
}

}  // namespace drover::mover
