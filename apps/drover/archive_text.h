// SPDX-License-Identifier: Apache-2.0
// Exports and imports for people. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/archive.h"

namespace drover::cli {

// What it would do: its files, and its findings.
std::string archive_plan_text(const Archive& archive);
// One line while it goes on: " 34 %  vda is being exported.  1.2 GiB of 4.0 GiB".
std::string archive_progress(const Archive& archive);
// How it ended.
std::string archive_outcome(const Archive& archive);
// A table.
std::string archives_text(const std::vector<Archive>& archives);
// One, with its files.
std::string archive_text(const Archive& archive);

// Codes of warnings that were not accepted, each once.
std::vector<std::string> open_warnings(const Archive& archive,
                                       const std::vector<std::string>& accepted);
bool is_blocked(const Archive& archive);

}  // namespace drover::cli
