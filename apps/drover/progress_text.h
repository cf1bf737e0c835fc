// SPDX-License-Identifier: Apache-2.0
// How a move under way is told, in one line. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "model/move.h"

namespace drover::cli {

// For terminals, cut to `columns`: " 34 %  copying disks  disks 1.2 of 4.0 GiB, 112 MiB/s  …".
std::string progress_line(const Move& move, std::size_t columns);

// For logs: the same facts, with the VM's name, nothing cut.
std::string progress_log_line(const Move& move);

// What keeps a move from its end, with its choices; lines.
std::string warning_text(const Finding& warning);

// "copying disks".
std::string phase_words(Phase phase);
// The same of a move; of one that waits for its turn, its position and what it waits for.
std::string phase_words(const Move& move);

// "done", "failed", "needs a person".
std::string state_words(MoveState state);

}  // namespace drover::cli
