// SPDX-License-Identifier: Apache-2.0
// The gate of a move's destination: guards its libvirtd, and opens QEMU's sockets for the mover.
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>

#include "gate/destination_machine.h"
#include "gate/gate_shell.h"

namespace drover::gate {

class DestinationGate : public GateShell {
 public:
  static Result<std::unique_ptr<DestinationGate>> create(GateStart start, RecordFolder records,
                                                         UniqueFd rpc, UniqueFd mover,
                                                         PathChecker check_path);

 private:
  // A stream that the mover wants; those of one kind are connected in the order of the wishes, for
  // QEMU takes the first connection to its memory socket as the main channel.
  struct Wish {
    std::uint64_t stream = 0;
    Deadline deadline = Deadline::never();
    Deadline next_try = Deadline::never();
  };
  struct Wishes {
    const char* kind;
    std::string path;
    std::deque<Wish> waiting;
  };

  DestinationGate(GateStart start, RecordFolder records, UniqueFd rpc, UniqueFd mover,
                  PathChecker check_path);

  Actions on_libvirt_packet(RpcPacket packet) override;
  Actions on_libvirt_closed(const std::string& why) override;
  Actions on_peer(Envelope envelope) override;
  Actions on_road_closed(const std::string& why) override;
  void on_mover_message(const nlohmann::json& message) override;
  Result<nlohmann::json> on_command(const std::string& verb,
                                    const nlohmann::json& command) override;
  Actions on_own_action(const Action& action) override;
  Deadline on_tick() override;

  Result<nlohmann::json> status() const;
  Result<nlohmann::json> refuse();
  void grant(Wishes& wishes);
  void answer_wish(std::uint64_t stream, const Result<UniqueFd>& socket);
  Status connect_to_libvirt();

  DestinationMachine machine_;
  Wishes memory_;
  Wishes disks_;
  Wishes read_back_;   // of what was written to the disks: QEMU's NBD server too
  Deadline patience_;  // for the first packet, and later for whoever still wants to know
  bool was_lingering_ = false;
  // The guest stood still so much longer, for its writes to be watched.
  std::chrono::steady_clock::time_point held_since_{};
  std::chrono::milliseconds held_{0};
};

}  // namespace drover::gate
