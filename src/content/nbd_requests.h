// SPDX-License-Identifier: Apache-2.0
// NBD's client side, fixed newstyle, as it goes by: which export was chosen, what is asked, what is
// written, with compact and extended headers. Whatever is unknown ends the reading, for good. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace drover::content {

// The protocol's numbers.
enum class NbdCommand : std::uint16_t {
  kRead = 0,
  kWrite = 1,
  kDisconnect = 2,
  kFlush = 3,
  kTrim = 4,
  kCache = 5,
  kWriteZeroes = 6,
  kBlockStatus = 7,
};

struct NbdRequest {
  NbdCommand command = NbdCommand::kRead;
  std::uint64_t cookie = 0;  // the reply has it too; free for another request after that
  std::uint64_t offset = 0;  // bytes
  std::uint64_t length = 0;  // bytes; a write's payload follows

  bool writes() const {
    return command == NbdCommand::kWrite || command == NbdCommand::kTrim ||
           command == NbdCommand::kWriteZeroes;
  }
};

class NbdRequestParser {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // Perhaps several times; the last one before the first request counts.
    virtual void export_chosen(std::string_view name) = 0;
    virtual void request(const NbdRequest& request) = 0;
    // The bytes of the last request, a write, in order.
    virtual void payload(std::span<const std::uint8_t> bytes) = 0;
    // Nothing more will be understood.
    virtual void unknown() = 0;
  };
  // Of an option: its data must be kept until all of it came.
  static constexpr std::size_t kOptionBytesMax = 8192;

  void feed(std::span<const std::uint8_t> bytes, Sink& sink);

 private:
  enum Phase { kFlags, kMessages, kUnknown };
  void take_message(Sink& sink);
  void take_option(Sink& sink);
  void take_request(Sink& sink);
  void take_extended_request(Sink& sink);
  void accept(const NbdRequest& request, Sink& sink);
  void give_up(Sink& sink);
  // How many bytes head_ must have before it says more, or is a whole message.
  std::size_t wanted() const;

  Phase phase_ = kFlags;
  std::vector<std::uint8_t> head_;
  std::uint64_t payload_left_ = 0;
};

}  // namespace drover::content
