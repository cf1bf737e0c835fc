// SPDX-License-Identifier: Apache-2.0
// The program drover-mover: docs/processes.md. One object in one process; run() is called once,
// from main.
#pragma once

#include <chrono>
#include <condition_variable>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/deadline.h"
#include "mover/gate_channel.h"
#include "mover/mover_start.h"
#include "mover/session.h"
#include "mover/stream_acceptor.h"
#include "net/control_channel.h"

namespace drover::mover {

class MoverProgram {
 public:
  // REQUIRES: the start message was read and the sandbox is closed. `channel`: descriptor 3.
  MoverProgram(MoverStart start, UniqueFd channel);
  ~MoverProgram();

  // Until the session ends.
  void run();

 private:
  SessionEvents session_events();
  void on_gate_event(GateChannel::Event event);
  void on_stream_opened(StreamKind kind);
  void on_ended(SessionEnd how, const Error& why);
  Result<nlohmann::json> obey(const nlohmann::json& command, std::vector<UniqueFd> descriptors);
  Result<nlohmann::json> add_link(const nlohmann::json& command, std::vector<UniqueFd> descriptors);
  Result<nlohmann::json> set(const nlohmann::json& command);
  Status set_holds(const nlohmann::json& command);
  void take_stream(StreamKind kind, UniqueFd local);
  void open_stream(StreamKind kind, UniqueFd local);
  // `closes_after`: of memory that goes on; then it is held without a further word.
  void hold_memory(bool held, std::optional<std::chrono::milliseconds> closes_after = {});
  nlohmann::json status();

  const Role role_;
  std::latch started_{1};  // the members below are there; every thread of theirs waits for it
  std::unique_ptr<net::ControlServer> control_;
  std::unique_ptr<GateChannel> gate_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<StreamAcceptor> acceptor_;

  // Held while streams are opened, which keeps their order. Taken before mutex_.
  std::mutex opening_;
  bool memory_held_ = false;  // guarded by opening_, as the next two
  std::optional<Deadline> memory_closes_;
  std::vector<UniqueFd> waiting_memory_;  // accepted, and not to be opened yet

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool ended_ = false;
  bool memory_told_ = false;
};

// All of main but its options: start message, sandbox, program. The exit status.
int run_mover(int channel);

}  // namespace drover::mover
