// SPDX-License-Identifier: Apache-2.0
// NBD's server side as it goes by: which requests were answered, and how, in simple, structured and
// extended replies. Whatever is unknown ends the reading, for good: nothing is taken for answered
// after it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace drover::content {

class NbdReplyParser {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // The request with this cookie is done; `good` unless any of its replies had an error.
    virtual void answered(std::uint64_t cookie, bool good) = 0;
    // A part of a structured reply that has an error; answered() follows for it, with `good` set.
    virtual void failed(std::uint64_t cookie) = 0;
    // Bytes that follow a good simple reply: what a READ asked for, 0 for any other request.
    virtual std::uint64_t data_bytes(std::uint64_t cookie) = 0;
  };

  void feed(std::span<const std::uint8_t> bytes, Sink& sink);

 private:
  enum Phase { kGreeting, kMessages, kUnknown };
  std::size_t wanted() const;
  void take_message(Sink& sink);
  void take_simple(Sink& sink);
  void take_chunk(Sink& sink);

  Phase phase_ = kGreeting;
  std::vector<std::uint8_t> head_;
  std::uint64_t skip_ = 0;  // bytes that mean nothing here
};

}  // namespace drover::content
