// SPDX-License-Identifier: Apache-2.0
// What the code of a finding means: the sections of docs/, which the program has in itself. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover::cli {

// The pages as they stand in docs/, findings.md first.
std::vector<std::string_view> explain_pages();

// Every section about this code, without Markdown's marks; a code may be of plans and of the
// doctor. kNotFound names codes that are like it.
Result<std::string> explain(std::string_view code);

// All codes that have a section, sorted.
std::vector<std::string> explained_codes();

}  // namespace drover::cli
