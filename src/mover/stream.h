// SPDX-License-Identifier: Apache-2.0
// One stream of a session: its two halves, its local socket, and what has to be said about it on
// the links. All members are guarded by the session's mutex, except where said.
#pragma once

#include <condition_variable>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "content/decoder.h"
#include "content/encoder.h"
#include "content/write_log.h"
#include "mover/frame.h"
#include "mover/incoming_half.h"
#include "mover/outgoing_half.h"

namespace drover::mover {

// A frame without payload that is said again until the other side has shown that it knows.
struct Notice {
  bool due = false;
  LinkSerial link = 0;  // which carried it last

  void said(LinkSerial on) {
    due = false;
    link = on;
  }
};

struct Stream {
  Stream(StreamId stream_id, StreamKind stream_kind, std::uint32_t window_bytes)
      : id(stream_id), kind(stream_kind), in(window_bytes) {}

  enum class State { kOpening, kOpen, kRefused };

  const StreamId id;
  const StreamKind kind;
  State state = State::kOpening;
  OutgoingHalf out;
  IncomingHalf in;
  // Set before the threads start, closed after they ended: they use it without the mutex.
  UniqueFd local;
  // With content, as `local`: the source's reading loop encodes (its writing loop shows what comes
  // back), the destination's writing loop decodes. Else none.
  std::unique_ptr<content::Encoder> encoder;
  std::unique_ptr<content::Decoder> decoder;
  // Destination, of disks, if a record of what is written is wanted. As `local`.
  std::unique_ptr<content::WriteLog> writes;

  Notice open;    // source: until OPENED came
  Notice opened;  // destination: again for each OPEN
  Notice stop;    // until FIN came
  Notice miss;    // of in.mending(), until its answer came
  std::string refusal;
  bool ack_due = false;
  std::uint64_t acknowledged_to_peer = 0;
  bool stopped_by_peer = false;

  std::uint64_t reserved_bytes = 0;  // the reader may take so many and has not yet
  std::uint64_t kept_bytes = 0;      // the reader took them and keeps them for the next range
  bool reader_ended = true;
  bool writer_ended = true;
  std::condition_variable to_write;  // the writer waits here
  std::jthread reader;
  std::jthread writer;

  bool finished() const { return out.done() && in.done() && reader_ended && writer_ended; }
  std::uint64_t held_bytes() const {
    return out.unacknowledged_bytes() + reserved_bytes + kept_bytes;
  }
};

}  // namespace drover::mover
