// SPDX-License-Identifier: Apache-2.0
#include "mover/sandbox.h"

namespace drover::mover {

Status enter_sandbox() { return {}; }

}  // namespace drover::mover
