// SPDX-License-Identifier: Apache-2.0
// A connected socket, plain or under TLS, read and written with deadlines. One thread reads and
// writes; shut_down() may come from any other and makes both fail.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // At least one byte, or 0: the other side closed. kTimeout when the deadline passes.
  virtual Result<std::size_t> read(std::span<char> into, Deadline deadline) = 0;
  virtual Status write(std::string_view bytes, Deadline deadline) = 0;
  virtual int descriptor() const = 0;
  void shut_down();
};

// Takes a connected stream socket and makes it non-blocking.
std::unique_ptr<ByteStream> plain_stream(UniqueFd socket);
void set_non_blocking(int fd);

}  // namespace drover::net
