// SPDX-License-Identifier: Apache-2.0
// CPUs, places and fixes in words. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/fit.h"

namespace drover::cli {

std::string cpu_text(const CpuCompat& found);
// `detailed`: every host and kind with what stands in the way; else a line for each VM.
std::string mobility_text(const Mobility& mobility, bool detailed);
std::string fixes_text(const std::vector<AppliedFix>& fixes);
// What was done, and how to take it back.
std::string applied_text(const AppliedFix& fix);

}  // namespace drover::cli
