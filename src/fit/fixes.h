// SPDX-License-Identifier: Apache-2.0
// Fixes that Drover can make itself, on this host, and undo (docs/fixes.md). Each looks again and
// touches only what is still so. Any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fit/while_free.h"
#include "model/fit.h"
#include "move/world.h"

namespace drover::fit {

// Codes that have such a fix, for findings of this host.
std::span<const std::string_view> fixable_codes();

// Whether this finding of the plan can be mended by apply_fix(). Pure.
bool can_fix(const Finding& finding, const Plan& plan, std::string_view host);
// Says so in the plan's findings.
void mark_fixable(Plan& plan, std::string_view host);

// Mends every finding of this code that the plan has. kNotFound: it has none; kInvalidArgument:
// there is no such fix; kConflict: a move has the VM, or it is not as the plan has it any more.
// What was done is in the journal before it is done; after an error, what was mended before it
// stays and can be undone, and so can what may have been done.
Result<std::vector<AppliedFix>> apply_fix(move::World& world, const WhileFree& while_free,
                                          const Plan& plan, std::string_view code,
                                          std::string_view requested_by);

// kNotFound; kConflict: it was undone, what it changed is otherwise now, or a move has the VM.
Result<AppliedFix> undo_fix(move::World& world, const WhileFree& while_free, std::string_view id);

}  // namespace drover::fit
