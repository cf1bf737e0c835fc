// SPDX-License-Identifier: Apache-2.0
// model/evacuation.h as JSON text, and as nlohmann trees for .cpp files of api/ and client/. Pure
// functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "json/encode.h"
#include "model/evacuation.h"

namespace drover::json {

Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              BestRequest& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              BestChoice& out);
// As a user sends it: without requested_by.
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              EvacuationRequest& out);

std::string to_json(const BestChoice& value);
std::string to_json(const Evacuation& value);
Result<Evacuation> evacuation_from_json(std::string_view text, Unknown unknown);
// Of a user, without requested_by.
std::string request_body(const BestRequest& request);
std::string request_body(const EvacuationRequest& request);

}  // namespace drover::json
