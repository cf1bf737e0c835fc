// SPDX-License-Identifier: Apache-2.0
// A CPU for a VM that each of several hosts can give (docs/cpu_compat.md). Any thread; asks the
// hosts, and takes seconds if they are silent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fit/while_free.h"
#include "model/fit.h"
#include "move/world.h"

namespace drover::fit {

// The code of the AppliedFix that cpu_compat() leaves.
inline constexpr std::string_view kCpuFix = "CPU_MISMATCH";

struct CpuWish {
  std::string vm;                  // name or UUID, of this host
  std::vector<std::string> hosts;  // paired ones, beside this one
  bool write = false;              // into the definition, for the next start
  std::string requested_by;
};

// The most that a guest of the VM's machine can have on this host and on all of `hosts`, each of
// which was asked whether it can. kConflict: the VM has no definition to write into, it was changed
// while the hosts were asked, or a move has it; kNotFound: no such VM or host; kBlocked: a host
// cannot give it, with what it lacks. Nothing was changed after an error, unless libvirt went
// silent meanwhile: then there is a fix to undo.
Result<CpuCompat> cpu_compat(move::World& world, const WhileFree& while_free, const CpuWish& wish);

// Brings the former <cpu> back, if it is still as cpu_compat() left it. kConflict: it is not.
// REQUIRES: nobody else has the VM (WhileFree).
Status undo_cpu(move::World& world, const AppliedFix& fix);

}  // namespace drover::fit
