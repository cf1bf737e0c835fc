// SPDX-License-Identifier: Apache-2.0
// A plan and its findings for people: what moves where, what stands in the way, how to fix it.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "model/plan.h"

namespace drover::cli {

std::string plan_text(const Plan& plan);

// Findings of all levels, gravest first; empty text for none.
std::string findings_text(const std::vector<Finding>& findings);

}  // namespace drover::cli
