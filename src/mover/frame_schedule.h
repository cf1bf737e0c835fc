// SPDX-License-Identifier: Apache-2.0
// Which frames go next on a link: docs/mover_protocol.md, "Acknowledgement, windows, order". No
// lock: the session's mutex guards all it touches.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "mover/stream.h"

namespace drover::mover {

using Streams = std::map<StreamId, std::unique_ptr<Stream>>;

enum class Bulk { kGoes, kWaits };  // waits: for the limit on what goes out

class FrameSchedule {
 public:
  // Appends everything urgent and then at most one frame of bulk; they are on `link` from now on.
  // What waits for a limit is all but notices and rpc.
  void fill(Streams& streams, LinkSerial link, Bulk bulk, std::vector<Frame>& frames);
  // Another link would find something in its turn.
  static bool has_bulk(const Streams& streams);

 private:
  static void add_notices(Stream& stream, LinkSerial link, std::vector<Frame>& frames);
  static void add_all_data(Stream& stream, LinkSerial link, std::vector<Frame>& frames);
  // False: there is none.
  bool add_bulk(Streams& streams, LinkSerial link, std::vector<Frame>& frames);
  // Names of held content, only when nothing else waits.
  static void add_held(Streams& streams, LinkSerial link, std::vector<Frame>& frames);

  StreamId last_bulk_ = kNoStream;  // whose turn it was
};

}  // namespace drover::mover
