// SPDX-License-Identifier: Apache-2.0
// droverd's side of a running drover-mover (docs/processes.md). The mover outlives this object and
// droverd; only stop() ends it. Any thread may call.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/deadline.h"
#include "base/error.h"
#include "mover/hello.h"
#include "mover/session_status.h"
#include "net/control_channel.h"

namespace drover::mover {

struct MoverSettings {
  std::string move;  // its id
  Role role = Role::kInvalid;
  std::string identity;  // "drover-move ID HEXKEY1 HEXKEY2", the same on both sides
  std::chrono::milliseconds patience{120'000};
  std::chrono::milliseconds pause_budget{5'000};
  std::uint64_t window_bytes = 16u << 20;
  bool content = true;                           // off: bytes are carried as they are
  bool references = true;                        // source, with content
  bool memory_waits = true;                      // source: SessionOptions::memory_waits
  std::uint64_t bandwidth_bytes_per_second = 0;  // source; 0: no limit
  std::uint64_t link_bytes_per_second = 0;       // source: as measured before; 0: not
  bool sandbox = true;
};

// They stay the caller's; the mover gets copies.
struct MoverDescriptors {
  int control = -1;  // listening SOCK_SEQPACKET
  int psk = -1;      // memfd with 32 bytes
  int rpc = -1;
  int gate = -1;
  int memory = -1;  // source only: listening, as the next
  int disks = -1;
  // Destination only, open for reading: disks of an earlier move, at most kOwnDisksMax, and images
  // of VMs of the group, at most kGroupFilesMax.
  std::vector<int> held = {};
  std::vector<int> group = {};
  std::vector<int> images = {};  // destination: of this move, likewise
  // Memory kept of the guest (docs/residue.md), and its key as a memfd: the source's is written,
  // the destination's is read; -1: none.
  int kept = -1;
  int kept_key = -1;
  int writes = -1;  // destination only: a file to append to; -1: no record of what is written
};

struct MoverEvent {
  enum class Kind { kLinkUp, kLinkLost, kStreamOpened, kGaveUp, kGone };
  Kind kind = Kind::kGone;  // kGone: the control connection ended; the mover is dead or serves
                            // another daemon
  std::uint32_t link = 0;   // kLinkUp, kLinkLost
  StreamKind stream = StreamKind::kInvalid;  // kStreamOpened
  std::string error;                         // kLinkLost, kGaveUp
};

class MoverProcess {
 public:
  // On a thread of its own; must not destroy this object.
  using EventHandler = std::function<void(const MoverEvent&)>;

  static Result<std::unique_ptr<MoverProcess>> start(const std::filesystem::path& program,
                                                     const MoverSettings& settings,
                                                     const MoverDescriptors& descriptors,
                                                     EventHandler on_event, Deadline deadline);
  // After a restart of the daemon: `socket` is the mover's control socket. Events of the meantime
  // are lost: ask for the status.
  static Result<std::unique_ptr<MoverProcess>> attach(const std::filesystem::path& socket,
                                                      EventHandler on_event, Deadline deadline);

  // A connected TCP socket; the caller keeps its copy and should close it. Ok: TLS begins; kLinkUp
  // or kLinkLost follows.
  Status add_link(std::uint32_t link, int socket, Deadline deadline);
  Result<SessionStatus> status(Deadline deadline);
  Status set_patience(std::chrono::milliseconds span, Deadline deadline);
  Status set_pause_budget(std::chrono::milliseconds span, Deadline deadline);
  // Source; 0: no limit.
  Status set_bandwidth(std::uint64_t bytes_per_second, Deadline deadline);
  // Source: no memory stream is opened, and nothing of an open one is taken, until false is said.
  Status hold_memory(bool held, Deadline deadline);
  // Source: memory goes out for so long (a day at most) and is held after that, whoever lives then.
  Status pass_memory(std::chrono::milliseconds span, Deadline deadline);
  // Source: nothing of disks is taken for so long (10 min at most) or until the next call; 0: goes
  // on.
  Status hold_disks(std::chrono::milliseconds span, Deadline deadline);
  Status stop(Deadline deadline);
  pid_t pid() const { return pid_; }  // -1 after attach

 private:
  explicit MoverProcess(pid_t pid) : pid_(pid) {}
  static net::ControlClient::EventHandler translate(EventHandler on_event);

  pid_t pid_;
  std::unique_ptr<net::ControlClient> client_;
};

}  // namespace drover::mover
