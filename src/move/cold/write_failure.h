// SPDX-License-Identifier: Apache-2.0
// What an offline or quick move says when its destination cannot write what is sent: what it was,
// where, why, and what helps. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "model/plan.h"
#include "move/cold/cold_files.h"

namespace drover::move {

struct Unwritten {
  std::string what;    // "vda of web01"
  std::string path;    // at the destination; empty: it has none that the plan knows
  std::string option;  // "--item vda=PLACE", by which it lands elsewhere; empty: there is none
};
Unwritten unwritten_disk(const DiskPlacement& placement, const std::string& vm);
Unwritten unwritten_file(const ColdFile& file, const std::string& vm);

// `why` is the destination's word, or that of the program that writes there: it becomes the causes.
// Retry::kLater, and kNoSpace if the disk there is full; of a disk that fails otherwise kInternal,
// so that it is tried again (retry.h).
Error write_error(const Unwritten& unwritten, const std::string& host, Error why);

}  // namespace drover::move
