// SPDX-License-Identifier: Apache-2.0
// model/fit.h as JSON, for .cpp files. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "json/access_json.h"
#include "model/fit.h"

namespace drover::json {

Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, CpuCompat& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Mobility& out);

std::string to_json(const AppliedFix& value);
Result<AppliedFix> applied_fix_from_json(std::string_view text, Unknown unknown);

}  // namespace drover::json
