// SPDX-License-Identifier: Apache-2.0
// What a gate's state machine asks its shell to do. The shell carries actions out in order; those
// marked "question" come last in their list, and their answer is handed to the machine at once.
// Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gate/envelope.h"
#include "gate/gate_event.h"
#include "gate/migration_calls.h"
#include "gate/ownership_record.h"

namespace drover::gate {

struct SendToLibvirt {
  RpcPacket packet;
};
struct SendToPeer {
  RpcPacket packet;
};
struct SendNote {
  Note note;
};
struct CloseLibvirt {};     // once everything sent is written
struct ConnectLibvirt {};   // question, destination
struct RecordSwitching {};  // question, source
struct RecordSource {       // as well as can be: a failure is logged and changes nothing
  SourceState state;
};
struct Decide {  // question, destination
  Decision wanted;
};
struct RecordOutcome {
  Outcome outcome;
};
struct TakeFence {};  // question, source
struct LiftFence {};
enum class MoverNews { kStandstill, kFinishForwarded, kSettled };
struct TellMover {
  MoverNews news;
};
struct Emit {
  GateEvent event;
};
struct Exit {};

using Action =
    std::variant<SendToLibvirt, SendToPeer, SendNote, CloseLibvirt, ConnectLibvirt, RecordSwitching,
                 RecordSource, Decide, RecordOutcome, TakeFence, LiftFence, TellMover, Emit, Exit>;
using Actions = std::vector<Action>;

// Calls that wait for their reply, by serial. Bounded: libvirtd has a handful in flight.
class PendingCalls {
 public:
  static constexpr std::size_t kCallsMax = 16;

  // False: too many, or the serial is in use.
  bool add(const RpcHeader& call);
  // The call that this reply answers; nothing: it answers none.
  std::optional<RpcHeader> take(const RpcHeader& reply);
  std::optional<RpcHeader> find(std::int32_t procedure) const;
  void clear() { calls_.clear(); }

 private:
  std::map<std::uint32_t, RpcHeader> calls_;
};

// A reply or one of the few messages that a destination's libvirtd sends.
bool is_answer(const RpcHeader& header);
bool is_connection_closed_event(const RpcHeader& header);

// The text of an error reply; something usable if it cannot be read.
std::string error_text(const RpcPacket& reply);

}  // namespace drover::gate
