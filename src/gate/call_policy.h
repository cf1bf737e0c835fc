// SPDX-License-Identifier: Apache-2.0
// Flags, parameters and definitions of PREPARE and FINISH against the reservation: docs/gate.md,
// "Calls". Runs on the destination, on bytes that another host sent. Any thread.
#pragma once

#include "base/error.h"
#include "gate/definition_policy.h"
#include "gate/migration_calls.h"

namespace drover::gate {

// kPolicy: says what is refused. The definition in the parameters and the one in the cookie are
// both checked.
Status check_prepare(const PrepareCall& call, const Policy& policy, const PathChecker& check_path);
Status check_finish(const FinishCall& call, const Policy& policy, const PathChecker& check_path);

}  // namespace drover::gate
