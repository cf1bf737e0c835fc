// SPDX-License-Identifier: Apache-2.0
// The receiving half of a stream (docs/mover_protocol.md, "Streams"): puts frames in order, drops
// duplicates, knows what was applied and what is to be mended. No I/O, no lock: the session's mutex
// guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "base/error.h"
#include "mover/frame.h"

namespace drover::mover {

class IncomingHalf {
 public:
  explicit IncomingHalf(std::uint32_t window_bytes) : window_bytes_(window_bytes) {}

  enum class Taken { kNew, kDuplicate };
  // DATA or PACKED. kProtocol: outside the window, beyond FIN, overlapping by a part.
  Result<Taken> take(Frame frame);
  Result<Taken> take_fin(std::uint64_t offset);

  // The next range for the local socket, in order; nothing while there is none, or while one is
  // mended.
  std::optional<Frame> next();
  // The frame that next() gave last cannot be decoded here: its answer comes next. REQUIRES: it was
  // PACKED and not literal; nothing of it is applied.
  void missed(const FrameHeader& header);
  // MISS is to be said again until the answer came.
  const std::optional<FrameHeader>& mending() const { return mending_; }
  // `bytes` more, of raw bytes, are written to the local socket.
  void applied(std::uint64_t bytes);
  // All before FIN is applied: the local socket's writing side is to be shut down, then
  // fin_applied().
  bool fin_reached() const { return fin_at_ && applied_ == *fin_at_; }
  void fin_applied() { fin_applied_ = true; }
  // The local reader is gone: everything, also what comes later, counts as applied.
  void discard();

  std::uint64_t applied_offset() const { return applied_; }
  std::uint32_t window_bytes() const { return window_bytes_; }
  // Held in memory for this half, in raw bytes.
  std::uint64_t buffered_bytes() const { return received_ - applied_ + gap_bytes_; }
  bool has_next() const { return mending_ ? answer_.has_value() : !ready_.empty(); }
  bool fin_known() const { return fin_at_.has_value(); }
  bool discards() const { return discards_; }
  bool done() const { return fin_applied_; }

 private:
  Result<bool> is_duplicate(std::uint64_t offset, std::uint64_t end) const;
  Result<Taken> take_answer(Frame frame);
  void close_gaps();

  std::uint32_t window_bytes_;
  std::uint64_t received_ = 0;  // end of what is there without a gap
  std::uint64_t applied_ = 0;   // written to the local socket, <= received_
  std::deque<Frame> ready_;
  std::map<std::uint64_t, Frame> gaps_;  // beyond received_, by offset, without overlaps
  std::uint64_t gap_bytes_ = 0;
  std::optional<FrameHeader> mending_;  // the missed frame's
  std::optional<Frame> answer_;
  std::optional<std::uint64_t> fin_at_;
  bool fin_applied_ = false;
  bool discards_ = false;
};

}  // namespace drover::mover
