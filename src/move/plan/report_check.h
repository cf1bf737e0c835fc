// SPDX-License-Identifier: Apache-2.0
// What a destination answers to a proposal, held against the proposal before a plan is made of it:
// the source opens, hashes and sends what the plan names, and a peer's words are not trusted for
// paths (ARCHITECTURE.md, invariant 4). Pure; any thread.
#pragma once

#include <string_view>

#include "base/error.h"
#include "preflight/preflight.h"

namespace drover::move {

// kProtocol: it places a disk or file that the VM does not have, one twice, or leaves one out
// without a blocker that says why; or it gives back other checkpoints.
Status check_report(const preflight::Proposal& proposal,
                    const preflight::DestinationReport& report);

// In offline and quick moves this destination takes layers, images and the state of a TPM as the
// files that they are; those of earlier releases do not. `report`: its answer as it came.
bool takes_whole_files(std::string_view report);
inline constexpr const char* kTakesWholeFiles = "takes_whole_files";
// Likewise of a proposal, as it is: its source sends the layers of a live move ahead of it.
bool brings_layers(std::string_view proposal);
inline constexpr const char* kBringsLayers = "brings_layers";
// Likewise the saved memory of a VM that is off.
bool takes_saved_memory(std::string_view report);
inline constexpr const char* kTakesSavedMemory = "takes_saved_memory";

}  // namespace drover::move
