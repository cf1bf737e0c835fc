// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_program.h"

#include <csignal>

#include <sys/prctl.h>

#include "base/log.h"
#include "gate/destination_gate.h"
#include "gate/source_gate.h"
#include "net/child_process.h"

namespace drover::gate {
namespace {

using namespace std::chrono_literals;

constexpr auto kStartPatience = 10s;
constexpr std::string_view kFencePrefix = "fence:";

Fence take_fence(net::ProgramStart& program) {
  std::vector<FencedDisk> disks;
  for (auto& [name, descriptor] : program.descriptors) {
    if (name.starts_with(kFencePrefix)) {
      disks.push_back({name.substr(kFencePrefix.size()), std::move(descriptor)});
    }
  }
  return Fence(std::move(disks));
}

Result<std::unique_ptr<GateShell>> make_gate(net::ProgramStart& program) {
  ASSIGN_OR_RETURN(GateStart start, parse_start(program.text));
  ASSIGN_OR_RETURN(UniqueFd control, program.take("control"));
  ASSIGN_OR_RETURN(UniqueFd folder, program.take("records"));
  ASSIGN_OR_RETURN(UniqueFd rpc, program.take("rpc"));
  ASSIGN_OR_RETURN(UniqueFd mover, program.take("mover"));
  ASSIGN_OR_RETURN(RecordFolder records, RecordFolder::open(std::move(folder), start.instance));
  std::unique_ptr<GateShell> gate;
  if (start.role == GateRole::kSource) {
    ASSIGN_OR_RETURN(UniqueFd listener, program.take("listen"));
    ASSIGN_OR_RETURN(
        gate, SourceGate::create(std::move(start), std::move(records), std::move(rpc),
                                 std::move(mover), std::move(listener), take_fence(program)));
  } else {
    ASSIGN_OR_RETURN(gate,
                     DestinationGate::create(std::move(start), std::move(records), std::move(rpc),
                                             std::move(mover), no_links_beneath));
  }
  program.descriptors["control"] = std::move(control);
  return gate;
}

}  // namespace

int run_gate_program(int channel) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  auto program = net::receive_start(channel, Deadline::after(kStartPatience));
  if (!program) {
    log::error("The gate did not start: {}", program.error().text());
    return 1;
  }
  auto gate = make_gate(*program);
  if (!gate) {
    log::error("The gate did not start: {}", gate.error().text());
    net::answer_failed(channel, gate.error());
    return 1;
  }
  if (const auto ready = net::answer_ready(channel, Deadline::after(kStartPatience)); !ready) {
    log::error("The gate did not start: {}", ready.error().text());
    return 1;
  }
  (*gate)->serve_control(UniqueFd(channel), std::move(program->descriptors["control"]));
  (*gate)->run();
  return 0;
}

}  // namespace drover::gate
