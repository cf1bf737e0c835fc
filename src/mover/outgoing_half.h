// SPDX-License-Identifier: Apache-2.0
// The sending half of a stream (docs/mover_protocol.md, "Streams"): keeps frames until they are
// acknowledged and hands them out again when the link that carried them is lost. No I/O, no lock:
// the session's mutex guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/error.h"
#include "mover/frame.h"

namespace drover::mover {

// Names one TCP connection of this process; never used again. 0: none.
using LinkSerial = std::uint64_t;

class OutgoingHalf {
 public:
  // REQUIRES: chunk not empty and within credit(); not finished; frame_room().
  void append(Chunk chunk);
  // FIN goes out after all that was appended. May be called twice.
  void finish();

  // The first frame that is on no link; it is on `link` from now on.
  std::optional<Frame> take_next(LinkSerial link);
  void link_lost(LinkSerial link);
  // From ACK. Gives the number of newly acknowledged bytes; an older ACK gives 0; kProtocol: of
  // bytes never sent.
  Result<std::uint64_t> acknowledge(std::uint64_t offset, bool fin_applied,
                                    std::uint32_t window_bytes);
  // The receiver takes so much from the start; from HELLO.
  void grant(std::uint32_t window_bytes);

  std::uint64_t unacknowledged_bytes() const { return end_ - acknowledged_; }
  // Appended and on no link.
  std::uint64_t waiting_bytes() const { return waiting_bytes_; }
  bool has_next() const { return waiting_frames_ > 0; }
  bool frame_room() const;
  // Bytes that may still be appended without leaving the receiver's window.
  std::uint64_t credit() const { return granted_to_ > end_ ? granted_to_ - end_ : 0; }
  std::uint64_t end_offset() const { return end_; }
  std::uint64_t acknowledged_offset() const { return acknowledged_; }
  bool finished() const { return fin_queued_; }
  bool done() const { return done_; }
  // A stream that was refused: nothing will be sent.
  void give_up();

 private:
  struct Entry {
    FrameHeader header;
    Chunk payload;
    LinkSerial link = 0;
    bool was_sent = false;
  };
  void mark_sent(Entry& entry, LinkSerial link);

  std::deque<Entry> entries_;      // unacknowledged, by offset; FIN is last
  std::size_t first_waiting_ = 0;  // entries before it are on a link
  std::size_t waiting_frames_ = 0;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t end_ = 0;       // of all that was appended
  std::uint64_t sent_end_ = 0;  // of all that was ever on a link
  std::uint64_t acknowledged_ = 0;
  std::uint64_t granted_to_ = 0;
  bool fin_queued_ = false;
  bool fin_sent_ = false;
  bool done_ = false;
};

}  // namespace drover::mover
