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

 private:
  explicit NbdReader(UniqueFd socket) : socket_(std::move(socket)) {}
  struct Run;  // neighbouring blocks, read at once
  Status shake_hands(std::string_view export_name, Deadline deadline);
  Status take_export_reply(bool& done, Deadline deadline);
  Status take_reply(std::span<const Run> runs, std::span<std::uint8_t> out, Deadline deadline);

  UniqueFd socket_;
  std::uint64_t export_bytes_ = 0;
};

}  // namespace drover::mover
