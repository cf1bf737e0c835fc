// SPDX-License-Identifier: Apache-2.0
// drover-gate: started by droverd for one side of one move; takes no arguments (docs/processes.md).
#include "base/log.h"
#include "gate/gate_program.h"
#include "net/child_process.h"

int main() {
  drover::log::start("drover-gate", drover::log::Level::kInfo);
  return drover::gate::run_gate_program(drover::net::kControlDescriptor);
}
