// SPDX-License-Identifier: Apache-2.0
// A move that has ended, or all that is known of one, for people. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/move.h"

namespace drover::cli {

// How it went: where the VM runs, bytes, seconds, pause, what is kept, how to undo it. For a move
// that did not work: why, and what is true now. `kept`: the quarantine; other moves' are skipped.
std::string report_text(const Move& move, const std::vector<QuarantinedDisk>& kept);

// `drover show`: the state, the phases with their times, then the report.
std::string show_text(const Move& move, const std::vector<QuarantinedDisk>& kept);

// `drover moves`: a table, newest first as given.
std::string moves_text(const std::vector<Move>& moves);

// `drover queue list`: in order, as given.
std::string queue_text(const std::vector<Move>& moves);

// `drover quarantine list`.
std::string quarantine_text(const std::vector<QuarantinedDisk>& disks);

// A word for the command line, quoted only where a shell needs it.
std::string shell_word(const std::string& word);

}  // namespace drover::cli
