// SPDX-License-Identifier: Apache-2.0
// Reads blocks of one export of an NBD server over a connected socket (NBD's proto.md: fixed
// newstyle, GO, simple replies). Nothing but READ. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::mover {

class NbdReader {
 public:
  // Shakes hands. kUnavailable: the server is gone or refuses the export; kTimeout; kProtocol.
  static Result<std::unique_ptr<NbdReader>> open(UniqueFd socket, std::string_view export_name,
                                                 Deadline deadline);

  // Fills `out` with block_bytes for each offset. After an error the connection is of no use any
  // more. REQUIRES: out.size() == offsets.size() * block_bytes.
  Status read(std::span<const std::uint64_t> offsets, std::size_t block_bytes,
              std::span<std::uint8_t> out, Deadline deadline);

  std::uint64_t export_bytes() const { return export_bytes_; }
  bool read_only() const { return (export_flags_ & 2) != 0; }
  // What one connection wrote and flushed every other one reads (NBD_FLAG_CAN_MULTI_CONN).
  bool one_picture() const { return (export_flags_ & 0x100) != 0; }

 private:
  explicit NbdReader(UniqueFd socket) : socket_(std::move(socket)) {}
  struct Run;  // neighbouring blocks, read at once
  Status shake_hands(std::string_view export_name, Deadline deadline);
  Status take_export_reply(bool& done, Deadline deadline);
  Status take_reply(std::span<const Run> runs, std::span<std::uint8_t> out, Deadline deadline);

  UniqueFd socket_;
  std::uint64_t export_bytes_ = 0;
  std::uint16_t export_flags_ = 0;
};

}  // namespace drover::mover
