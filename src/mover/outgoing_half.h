// SPDX-License-Identifier: Apache-2.0
// The sending half of a stream (docs/mover_protocol.md, "Streams"): keeps frames until they are
// acknowledged and hands them out again when the link that carried them is lost. No I/O, no lock:
// the session's mutex guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/error.h"
#include "mover/frame.h"

namespace drover::mover {

// Names one TCP connection of this process; never used again. 0: none.
using LinkSerial = std::uint64_t;

class OutgoingHalf {
 public:
  // The next range, as DATA. REQUIRES: chunk not empty and within credit(); not finished;
  // frame_room().
  void append(Chunk chunk);
  // Likewise, as PACKED; nothing of it goes out before packed(). `ops` are kept to mend a miss;
  // none: the range is nothing but bytes, and goes out as DATA if packing does not make it smaller
  // and its payload stands alone.
  // Gives its offset.
  std::uint64_t append_unpacked(Chunk raw, std::vector<std::uint8_t> ops);
  // The payload of a range that was appended unpacked, or missed. Without effect when nobody waits
  // for it any more.
  void packed(std::uint64_t offset, Chunk payload);
  // FIN goes out after all that was appended. May be called twice.
  void finish();
  struct Missed {
    Chunk raw;
    std::vector<std::uint8_t> ops;
  };
  // From MISS: what is to be packed again without references; packed() then makes it a literal
  // frame. Nothing: acknowledged already, or on its way. kProtocol: see "Packed ranges".
  Result<std::optional<Missed>> miss(std::uint64_t offset, std::uint32_t raw_length);

  // The first frame that is on no link, unless it is still being packed; it is on `link` from now
  // on.
  std::optional<Frame> take_next(LinkSerial link);
  void link_lost(LinkSerial link);
  // From ACK. Gives the number of newly acknowledged bytes; an older ACK gives 0; kProtocol: of
  // bytes never sent.
  Result<std::uint64_t> acknowledge(std::uint64_t offset, bool fin_applied,
                                    std::uint32_t window_bytes);
  // The receiver takes so much from the start; from HELLO.
  void grant(std::uint32_t window_bytes);

  std::uint64_t unacknowledged_bytes() const { return end_ - acknowledged_; }
  // Raw bytes appended and on no link.
  std::uint64_t waiting_bytes() const { return waiting_bytes_; }
  // take_next() would give a frame.
  bool has_next() const;
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
    FrameHeader header;  // DATA, PACKED or FIN
    Chunk raw;
    std::vector<std::uint8_t> ops;  // of PACKED, while it may be missed
    Chunk payload;                  // of PACKED
    LinkSerial link = 0;
    bool packing = false;
    bool missed = false;  // packed, or being packed, without references

    std::uint64_t end() const { return header.offset + header.raw_length; }
  };
  Entry& add(Chunk raw);
  // Of DATA or PACKED with this very offset.
  std::optional<std::size_t> find(std::uint64_t offset) const;
  std::size_t first_waiting() const;
  void mark_sent(Entry& entry, LinkSerial link);

  std::deque<Entry> entries_;      // unacknowledged, by offset; FIN is last
  std::size_t searched_from_ = 0;  // entries before it are on a link
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
