// SPDX-License-Identifier: Apache-2.0
// The I/O around a gate's state machine: one poll loop over the rpc stream, libvirtd's socket, the
// mover's packets and droverd's commands. run() is for one thread; the control server has its own
// and reaches the loop through a mailbox only.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/deadline.h"
#include "gate/actions.h"
#include "gate/envelope.h"
#include "gate/gate_start.h"
#include "gate/ownership_record.h"
#include "gate/stream_port.h"
#include "net/child_process.h"
#include "net/control_channel.h"

namespace drover::gate {

class Mailbox;

class GateShell {
 public:
  GateShell(GateStart start, RecordFolder records, UniqueFd rpc, UniqueFd mover);
  virtual ~GateShell();
  GateShell(const GateShell&) = delete;
  GateShell& operator=(const GateShell&) = delete;

  // `channel` may be invalid; `control` listens for a daemon that comes back.
  void serve_control(UniqueFd channel, UniqueFd control);
  // Returns when the move is over for this gate.
  void run();

 protected:
  virtual Actions on_libvirt_packet(RpcPacket packet) = 0;
  virtual Actions on_libvirt_closed(const std::string& why) = 0;
  virtual Actions on_peer(Envelope envelope) = 0;
  virtual Actions on_road_closed(const std::string& why) = 0;
  virtual void on_mover_message(const nlohmann::json& message) = 0;
  virtual Result<nlohmann::json> on_command(const std::string& verb,
                                            const nlohmann::json& command) = 0;
  // Carries out what is this side's own; the answer to a question may bring further actions.
  virtual Actions on_own_action(const Action& action) = 0;
  // One more descriptor to read from, or -1, and what to do then.
  virtual int extra_fd() const { return -1; }
  virtual void on_extra() {}
  // Called before each wait; the wait ends at its result.
  virtual Deadline on_tick() = 0;

  void carry_out(Actions actions);
  void connect_libvirt(UniqueFd socket) { libvirt_ = StreamPort(std::move(socket)); }
  void send_to_mover(const nlohmann::json& message, int descriptor = -1);
  nlohmann::json common_status() const;

  const GateStart start_;
  const RecordFolder records_;

 private:
  void carry_out_one(const Action& action, Actions& more);
  void wait_and_serve(Deadline deadline);
  void read_libvirt();
  void read_peer();
  void read_mover();
  void serve_commands();
  void lose_libvirt(const std::string& why);
  void lose_road(const std::string& why);

  StreamPort rpc_;
  PacketDecoder libvirt_decoder_;
  EnvelopeDecoder rpc_decoder_;
  StreamPort libvirt_;
  UniqueFd mover_;
  std::unique_ptr<Mailbox> mailbox_;
  bool exiting_ = false;
  std::unique_ptr<net::ControlServer> control_;  // last: its thread uses the mailbox
};

}  // namespace drover::gate
