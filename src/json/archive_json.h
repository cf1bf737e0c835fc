// SPDX-License-Identifier: Apache-2.0
// model/archive.h as JSON text, and as nlohmann trees for .cpp files of api/ and client/. Pure
// functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "json/encode.h"
#include "model/archive.h"

namespace drover::json {

std::string to_json(const Archive& value);
Result<Archive> archive_from_json(std::string_view text, Unknown unknown);

// As a user sends it, without requested_by. kInvalidArgument: members that do not belong to the
// kind, too.
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              ArchiveRequest& out);
std::string request_body(const ArchiveRequest& request);

}  // namespace drover::json
