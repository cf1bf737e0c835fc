// SPDX-License-Identifier: Apache-2.0
// Rewrites a definition for the destination host: where its disks and NVRAM lie there. Everything
// else stays as it was, known to us or not. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/plan.h"

namespace drover {

// Each placed disk becomes a file at its `destination_path`, with no backing file and no unfinished
// block job: the copy is complete in itself, while a shared disk keeps its chain. Where an
// allocation is asked for, QEMU is told not to give room back, or to make holes of zeroes.
// `nvram_destination` replaces the NVRAM's path; empty leaves it. kInvalidArgument: a placement
// names a disk that the definition lacks.
Result<std::string> adapt_definition(std::string_view xml,
                                     std::span<const DiskPlacement> placements,
                                     std::string_view nvram_destination);

}  // namespace drover
