// SPDX-License-Identifier: Apache-2.0
// model/access.h as nlohmann trees, for .cpp files of api/ and client/. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "json/encode.h"
#include "model/access.h"

namespace drover::json {

Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, HostEntry& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              InviteRequest& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, Invite& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              HostAddition& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, NewToken& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown, VmListing& out);
Status decode(const nlohmann::json& from, const std::string& path, Unknown unknown,
              ServerVersion& out);

// {"error":{...}}: the body of every answer that is no success.
std::string error_body(const Error& error);
// The Error of such a body; one that says so if it is none.
Error error_of_body(int status, std::string_view body);

// A MoveRequest as a user sends it: without requested_by, which only the API sets.
std::string request_body(const MoveRequest& request);

// {"hosts":[...]}: an array of values under its one name.
template <typename T>
nlohmann::json encode_list(const char* name, const std::vector<T>& values) {
  return {{name, encode(values)}};
}
template <typename T>
Result<std::vector<T>> decode_list(const nlohmann::json& from, const char* name, Unknown unknown) {
  std::vector<T> values;
  RETURN_IF_ERROR(Fields(from, "", unknown).need(name, values).finish());
  return values;
}

}  // namespace drover::json
