// SPDX-License-Identifier: Apache-2.0
// What the destination's gate does, without any I/O: docs/gate.md, "Destination". Each function is
// one cell of the table there; it changes the state and returns what the shell shall do. Not
// thread-safe.
//
// Who may run the VM: not this host until the record says `accepted`; from then on nobody else.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "gate/actions.h"

namespace drover::gate {

class DestinationMachine {
 public:
  struct Checks {
    std::function<Status(const PrepareCall&)> prepare;
    std::function<Status(const FinishCall&)> finish;
  };

  // `host` is this host's name, for messages. `watch`: a move whose guest is held at FINISH until
  // its writes are watched (gate/write_watch.h); empty: none is.
  DestinationMachine(std::string host, Checks checks, std::string watch = {})
      : host_(std::move(host)), checks_(std::move(checks)), watch_(std::move(watch)) {}

  Actions peer_packet(RpcPacket packet);
  Actions peer_note(const Note& note);
  Actions road_closed(const std::string& why);
  Actions libvirt_packet(RpcPacket packet);
  Actions libvirt_closed(const std::string& why);
  // Answers to questions.
  Actions libvirt_connected(const Status& status);
  Actions decided(const Result<Decision>& decision);
  // Commands.
  Actions refuse();
  // The mover's wish to open a stream to QEMU; kConflict before PREPARE succeeded or after the end.
  Status may_open_streams() const;
  Result<Actions> stop();

  std::string_view state_name() const;
  bool finish_seen() const { return finish_seen_; }
  bool finish_cancelled() const { return finish_cancelled_; }
  bool finish_replied() const { return finish_replied_; }
  bool in_doubt() const;
  // The guest stands still, and libvirtd does what lets it run.
  bool watching() const { return std::holds_alternative<Watching>(state_); }
  bool ended() const { return std::holds_alternative<Ended>(state_); }
  // Nothing more is owed to anybody; a restarted droverd may still ask.
  bool lingering() const;

 private:
  enum class Prepare { kNone, kSent, kDone };
  struct Idle {};
  struct Connecting {
    RpcPacket first;
  };
  struct Relaying {
    Prepare prepare = Prepare::kNone;
  };
  struct Deciding {  // FINISH is here, the decision is being recorded
    RpcPacket finish;
  };
  struct Finishing {  // accepted and forwarded
    RpcHeader call;
  };
  enum class WatchStep { kListing, kBeginning, kResuming };
  struct Watching {  // FINISH succeeded; what the guest writes will be watched
    RpcPacket reply;
    FinishReply domain;
    WatchStep step = WatchStep::kListing;
  };
  struct Cancelling {};  // FINISH(1) was forwarded
  struct Answered {      // an accepted FINISH has its answer, or libvirtd went away without one
    GateOutcome outcome;
  };
  struct Refused {  // or undecided: `refuse` may be asked again
    std::string why;
  };
  struct Ended {};
  using State = std::variant<Idle, Connecting, Relaying, Deciding, Finishing, Watching, Cancelling,
                             Answered, Refused, Ended>;

  Actions pass_call(RpcPacket packet);
  Actions pass_prepare(RpcPacket packet);
  Actions pass_finish(RpcPacket packet);
  Actions refuse_call(const RpcPacket& packet, const std::string& why);
  Actions finish_answered(RpcPacket reply);
  Actions begin_watch(RpcPacket reply, FinishReply domain);
  Actions watch_answered(const RpcPacket& reply);
  // What cannot be watched is not; the guest runs all the same.
  Actions let_run(const Status& watched);
  Actions not_let_run(const std::string& why);
  bool accepted() const;
  // Lets the incoming QEMU die with libvirtd's connection and asks for `refused`.
  Actions give_up(const std::string& why);
  Actions end(GateOutcome outcome);
  RpcPacket refusal(const RpcHeader& call, std::int32_t code, const std::string& why) const;

  std::string host_;
  Checks checks_;
  std::string watch_;
  bool held_ = false;  // FINISH was told to leave the guest standing
  State state_ = Idle{};
  PendingCalls pending_;
  bool road_gone_ = false;
  bool finish_seen_ = false;
  bool finish_cancelled_ = false;
  bool finish_replied_ = false;
};

}  // namespace drover::gate
