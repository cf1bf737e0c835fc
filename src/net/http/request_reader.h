// SPDX-License-Identifier: Apache-2.0
// The reading side of one server connection: finds whole request heads before the HTTP library sees
// a byte, so that slow, endless and senseless senders end here, and bounds what may follow each
// head. One thread.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "net/byte_stream.h"

namespace drover::net {

class RequestReader {
 public:
  struct Limits {
    std::chrono::milliseconds idle{15'000};   // between requests
    std::chrono::milliseconds head{10'000};   // from its first byte to its end
    std::chrono::milliseconds body{30'000};   // from the head's end
    std::chrono::milliseconds write{10'000};  // for one write
  };
  enum class Head {
    kReady,     // a whole, sane head is buffered
    kClosed,    // the other side closed, was silent, or broke the connection
    kNonsense,  // not HTTP
    kTooLarge,
    kRange,  // a Range header: not supported, and its parser is not for strangers' bytes
  };

  RequestReader(ByteStream& stream, const Limits& limits) : stream_(stream), limits_(limits) {}
  // Waits for the next head.
  Head next();
  // Buffered bytes first, then the body's; 0 at the end of the connection, of the body's time or of
  // its size; at most `into.size()`.
  std::size_t read(std::span<char> into);
  bool write(std::string_view bytes);

 private:
  bool fill(Deadline deadline);
  static Head judge(std::string_view head);

  ByteStream& stream_;
  const Limits limits_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t body_left_ = 0;
  Deadline body_deadline_ = Deadline::never();
};

}  // namespace drover::net
