// SPDX-License-Identifier: Apache-2.0
// Members of a control message (JSON, docs/processes.md) read without exceptions. Any thread.
// Include <nlohmann/json.hpp> where values are used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"

namespace drover::net {

// kProtocol unless the text is one JSON object.
Result<nlohmann::json> parse_message(std::string_view text);

// kProtocol when the member is absent or of another type; the text names it.
Result<std::string> text_member(const nlohmann::json& message, const char* name);
Result<std::uint64_t> count_member(const nlohmann::json& message, const char* name);
Result<bool> flag_member(const nlohmann::json& message, const char* name);
Result<std::vector<std::string>> texts_member(const nlohmann::json& message, const char* name);

// The same, but an absent member gives `otherwise`; a member of another type still fails.
Result<std::string> text_member_or(const nlohmann::json& message, const char* name,
                                   std::string otherwise);
Result<std::uint64_t> count_member_or(const nlohmann::json& message, const char* name,
                                      std::uint64_t otherwise);
Result<bool> flag_member_or(const nlohmann::json& message, const char* name, bool otherwise);

// {"reply":COMMAND,"seq":…,"ok":true} plus members of `outcome`, or ok:false with "error" and
// "code".
nlohmann::json reply_message(const nlohmann::json& command, const Result<nlohmann::json>& outcome);
// Inverse: the reply itself, or the other side's error with its code.
Result<nlohmann::json> outcome_of_reply(nlohmann::json reply);

}  // namespace drover::net
