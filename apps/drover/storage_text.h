// SPDX-License-Identifier: Apache-2.0
// What is said of storage moves: disks of a VM to other places on its host. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/move.h"

namespace drover::cli {

bool is_storage(const Plan& plan);

// The first line of its plan.
std::string storage_title(const Plan& plan);
// What becomes of the old images.
std::string storage_afterwards(const Plan& plan);
// A move that is under way, or has ended, without explanation and error.
std::string storage_report(const Move& move, const std::vector<QuarantinedDisk>& kept);
// Of the list of moves: where it goes.
std::string destination_words(const Move& move);

}  // namespace drover::cli
