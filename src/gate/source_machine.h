// SPDX-License-Identifier: Apache-2.0
// What the source's gate does, without any I/O: docs/gate.md, "Source". Each function is one cell
// of the table there; it changes the state and returns what the shell shall do. Not thread-safe.
//
// Who may run the VM: before FINISH(0) is forwarded, the source. From then on nobody here, until a
// success (the destination runs it) or the proof that it never ran there (the source may again).
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "gate/actions.h"

namespace drover::gate {

class SourceMachine {
 public:
  struct Vm {
    std::string name;
    RawUuid uuid{};
  };

  explicit SourceMachine(Vm vm) : vm_(std::move(vm)) {}

  Actions libvirt_connected();
  Actions libvirt_packet(RpcPacket packet);
  Actions libvirt_closed();
  Actions peer_packet(RpcPacket packet);
  Actions peer_note(const Note& note);
  // The mover is gone, or what it brought breaks the protocol.
  Actions road_closed(const std::string& why);
  Actions memory_opened();
  // Answers to questions.
  Actions switching_recorded(const Status& status);
  Actions fence_taken(const Status& status);
  // Commands; kConflict where the state does not allow them.
  Result<Actions> standstill();
  Result<Actions> deliver_runs(std::int32_t domain_id);
  Result<Actions> deliver_not_run(const std::string& error);
  Result<Actions> stop();

  std::string_view state_name() const;
  bool finish_seen() const { return finish_seen_; }
  bool finish_cancelled() const { return finish_cancelled_; }
  bool finish_replied() const { return finish_replied_; }
  bool in_doubt() const { return std::holds_alternative<InDoubt>(state_); }
  bool ended() const { return std::holds_alternative<Ended>(state_); }
  // Answered: only libvirtd's farewell is awaited, and not for long.
  bool settled() const { return std::holds_alternative<Settled>(state_); }

 private:
  enum class Prepare { kNone, kSent, kDone };
  struct Waiting {};
  struct Relaying {
    Prepare prepare = Prepare::kNone;
  };
  struct Fencing {  // between FINISH(0) and its forwarding
    RpcPacket finish;
  };
  struct Finishing {
    RpcHeader call;
  };
  struct InDoubt {
    RpcHeader call;
  };
  struct Cancelling {};  // FINISH(1) was forwarded
  struct Settled {
    GateOutcome outcome;
  };
  struct Ended {};
  using State =
      std::variant<Waiting, Relaying, Fencing, Finishing, InDoubt, Cancelling, Settled, Ended>;

  // FINISH(0), if it was forwarded and libvirtd has no answer yet.
  std::optional<RpcHeader> unanswered_finish() const;
  Actions pass_call(RpcPacket packet);
  Actions pass_prepare(RpcPacket packet);
  Actions pass_finish(RpcPacket packet);
  Actions answer_here(const RpcPacket& packet);
  Actions finish_answered(const RpcHeader& call, RpcPacket reply);
  Actions doubt(const RpcHeader& call, const std::string& why);
  Actions settle_runs(RpcPacket reply, std::int32_t domain_id);
  Actions settle_not_run(const RpcHeader& call, const std::string& why);
  Actions abort(const std::string& why);
  Actions end(GateOutcome outcome);

  Vm vm_;
  State state_ = Waiting{};
  PendingCalls pending_;
  bool libvirt_gone_ = false;
  bool finish_seen_ = false;
  bool finish_cancelled_ = false;
  bool finish_replied_ = false;
};

}  // namespace drover::gate
