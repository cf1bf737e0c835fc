// SPDX-License-Identifier: Apache-2.0
// droverd's hold on one drover-gate: start it or find it again, ask, command, hear its events
// (docs/processes.md, "drover-gate"). The gate lives on when this object goes. Functions may be
// called by any thread; events come on a thread of their own, which must not destroy the object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/deadline.h"
#include "base/error.h"
#include "gate/gate_event.h"
#include "gate/gate_start.h"
#include "gate/ownership_record.h"
#include "net/control_channel.h"

namespace drover::gate {

// Copies are sent; these stay the caller's. -1: not sent.
struct GateDescriptors {
  int control = -1;  // listening, SOCK_SEQPACKET
  int records = -1;
  int rpc = -1;
  int mover = -1;
  int listen = -1;  // source only
  struct Fence {
    std::string target;
    int image = -1;
  };
  std::vector<Fence> fences;  // source only
};

struct GateStatus {
  std::string state;                 // names of docs/gate.md's state tables
  std::string record;                // the source's, or "reserved"; empty: unreadable
  std::optional<Decision> decision;  // destination only
  bool finish_seen = false;
  bool finish_cancelled = false;
  bool finish_replied = false;
  std::optional<Outcome> outcome;  // of an accepted FINISH
  bool libvirt_connected = false;
  bool peer_connected = false;
  bool in_doubt = false;
  std::chrono::milliseconds held{0};  // destination: the guest stood so much longer, to be watched
};

class GateProcess {
 public:
  struct Handlers {
    std::function<void(const GateEvent&)> on_event;
    std::function<void()> on_gone;  // once: the process ended, or serves another daemon
  };

  static Result<std::unique_ptr<GateProcess>> start(const std::filesystem::path& program,
                                                    const GateStart& start,
                                                    const GateDescriptors& descriptors,
                                                    Handlers handlers, Deadline deadline);
  // Finds a running gate by its control socket; kNotFound or kSystem when there is none.
  static Result<std::unique_ptr<GateProcess>> attach(const std::filesystem::path& control_socket,
                                                     Handlers handlers, Deadline deadline);

  Result<GateStatus> status(Deadline deadline);
  // Destination: what is recorded now, refused or accepted. After an error: unknown.
  Result<Decision> refuse(Deadline deadline);
  // Source, in doubt: the destination proved that the guest runs there.
  Status deliver_runs(std::int32_t domain_id, Deadline deadline);
  // Source, in doubt: the destination proved that it never ran. Lifts the fence.
  Status deliver_not_run(const std::string& error, Deadline deadline);
  // Source: the guest stands still now; passed to the mover.
  Status standstill(Deadline deadline);
  // kConflict while an accepted FINISH waits for its answer.
  Status stop(Deadline deadline);
  // Of start(); 0 after attach().
  pid_t pid() const { return pid_; }

 private:
  GateProcess(UniqueFd channel, Handlers handlers, pid_t pid);

  pid_t pid_;
  net::ControlClient client_;
};

}  // namespace drover::gate
