// SPDX-License-Identifier: Apache-2.0
// How this folder changes a VM: only while nobody else has it.
#pragma once

#include <functional>

#include "base/error.h"
#include "model/vm.h"

namespace drover::fit {

// Engine::while_free(): calls `change` while no move, export or import has the VM, and none can
// begin. A definition that is written while its VM leaves would be a second VM.
using WhileFree = std::function<Status(const Vm& vm, const std::function<Status()>& change)>;

}  // namespace drover::fit
