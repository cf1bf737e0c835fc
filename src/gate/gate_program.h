// SPDX-License-Identifier: Apache-2.0
// The program drover-gate: start message, readiness, then one gate until the move is over.
#pragma once

namespace drover::gate {

// The exit status. `channel` is the control channel (net::kControlDescriptor).
int run_gate_program(int channel);

}  // namespace drover::gate
