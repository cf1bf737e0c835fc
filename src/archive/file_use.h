// SPDX-License-Identifier: Apache-2.0
// Who uses a file: asked before one is removed, and before one is given to a VM. Any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

namespace drover::archive {

// The name of a VM of this host that has the file as a disk, below one, in a drive or as its
// firmware's variables, now or at its next boot; by that path, or by another that leads to the same
// file. Empty: none has. An error: of some VM it cannot be known, and no other has it.
Result<std::string> user_of(Hypervisor& hypervisor, const std::string& path);

}  // namespace drover::archive
