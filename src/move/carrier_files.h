// SPDX-License-Identifier: Apache-2.0
// Where the sockets and records of a move's carriers lie. Any thread.
#pragma once

#include <string>

#include "move/carriers.h"

namespace drover::move {

CarrierPaths carrier_paths(const CarrierOptions& options, const CarrierName& name);
// The destination's record of what was written to the disks.
std::string writes_path(const CarrierOptions& options, const CarrierName& name);
// Sockets and folders; the record of writes stays.
void remove_carrier_files(const CarrierOptions& options, const CarrierName& name);

}  // namespace drover::move
