// SPDX-License-Identifier: Apache-2.0
// The gate of a move's source: the source's libvirtd connects to it as if it were the
// destination's. One thread.
#pragma once

#include <memory>

#include "gate/fence.h"
#include "gate/gate_shell.h"
#include "gate/source_machine.h"

namespace drover::gate {

class SourceGate : public GateShell {
 public:
  // `listener`: where the source's libvirtd will connect, once.
  static Result<std::unique_ptr<SourceGate>> create(GateStart start, RecordFolder records,
                                                    UniqueFd rpc, UniqueFd mover, UniqueFd listener,
                                                    Fence fence);

 private:
  SourceGate(GateStart start, RecordFolder records, UniqueFd rpc, UniqueFd mover, UniqueFd listener,
             Fence fence, RawUuid uuid);

  Actions on_libvirt_packet(RpcPacket packet) override;
  Actions on_libvirt_closed(const std::string& why) override;
  Actions on_peer(Envelope envelope) override;
  Actions on_road_closed(const std::string& why) override;
  void on_mover_message(const nlohmann::json& message) override;
  Result<nlohmann::json> on_command(const std::string& verb,
                                    const nlohmann::json& command) override;
  Actions on_own_action(const Action& action) override;
  int extra_fd() const override { return listener_.get(); }
  void on_extra() override;
  Deadline on_tick() override;

  Result<nlohmann::json> status() const;

  SourceMachine machine_;
  UniqueFd listener_;
  Fence fence_;
  Deadline patience_;  // for libvirtd to connect, and then for its farewell
  bool was_settled_ = false;
};

}  // namespace drover::gate
