// SPDX-License-Identifier: Apache-2.0
// What happened to a move before its present attempt, and to its VM after it, for people. Pure
// functions; any thread. Empty: there is nothing to say.
#pragma once

#include <string>

#include "model/move.h"

namespace drover::cli {

std::string attempts_text(const Move& move);

// Who said that the VM runs where.
std::string resolution_text(const Move& move);

std::string health_text(const Move& move);

}  // namespace drover::cli
