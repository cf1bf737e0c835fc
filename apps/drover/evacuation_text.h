// SPDX-License-Identifier: Apache-2.0
// Evacuations, returns, and the choice of a host, for people. Pure functions; any thread.
#pragma once

#include <string>

#include "model/evacuation.h"

namespace drover::cli {

// The timetable, then what cannot move and why, then hosts that could not be asked.
std::string timetable_text(const Evacuation& job);

// `drover evacuate HOST --status`: what goes on or went on, VM by VM.
std::string evacuation_text(const Evacuation& job);

// Once it has ended: how many moved, and each that did not, with the reason.
std::string outcome_text(const Evacuation& job);

// Hosts, the best first, and of each why, or why not.
std::string choice_text(const std::string& vm, const BestChoice& choice);

}  // namespace drover::cli
