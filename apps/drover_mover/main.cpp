// SPDX-License-Identifier: Apache-2.0
// drover-mover is started by droverd only (docs/processes.md): no options, all comes over
// descriptor 3.
#include <csignal>
#include <exception>

#include "base/log.h"
#include "mover/mover_program.h"
#include "net/child_process.h"

int main() {
  drover::log::start("drover-mover", drover::log::Level::kInfo);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return drover::mover::run_mover(drover::net::kControlDescriptor);
  } catch (const std::exception& error) {
    drover::log::error("The mover ends on an unforeseen error: {}", error.what());
    return 2;
  }
}
