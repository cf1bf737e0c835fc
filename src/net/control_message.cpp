// SPDX-License-Identifier: Apache-2.0
#include "net/control_message.h"

#include <nlohmann/json.hpp>

namespace drover::net {
namespace {

using nlohmann::json;

std::unexpected<Error> wrong_member(const char* name, const char* type) {
  return fail(ErrorCode::kProtocol, "A control message lacks the member '{}' of type {}.", name,
              type);
}

const json* find(const json& message, const char* name) {
  const auto at = message.find(name);
  return at == message.end() ? nullptr : &*at;
}

}  // namespace

Result<json> parse_message(std::string_view text) {
  json message = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object())
    return fail(ErrorCode::kProtocol, "A control message is not a JSON object.");
  return message;
}

Result<std::string> text_member(const json& message, const char* name) {
  const json* value = find(message, name);
  if (value == nullptr || !value->is_string()) return wrong_member(name, "text");
  return value->get<std::string>();
}

Result<std::uint64_t> count_member(const json& message, const char* name) {
  const json* value = find(message, name);
  // A signed literal of nlohmann's own making is fine as long as it is not negative.
  if (value == nullptr || !value->is_number_integer()) return wrong_member(name, "count");
  if (!value->is_number_unsigned() && value->get<std::int64_t>() < 0)
    return wrong_member(name, "count");
  return value->get<std::uint64_t>();
}

Result<bool> flag_member(const json& message, const char* name) {
  const json* value = find(message, name);
  if (value == nullptr || !value->is_boolean()) return wrong_member(name, "true or false");
  return value->get<bool>();
}

Result<std::vector<std::string>> texts_member(const json& message, const char* name) {
  const json* value = find(message, name);
  if (value == nullptr || !value->is_array()) return wrong_member(name, "list of texts");
  std::vector<std::string> texts;
  for (const json& entry : *value) {
    if (!entry.is_string()) return wrong_member(name, "list of texts");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

Result<std::string> text_member_or(const json& message, const char* name, std::string otherwise) {
  if (find(message, name) == nullptr) return otherwise;
  return text_member(message, name);
}

Result<std::uint64_t> count_member_or(const json& message, const char* name,
                                      std::uint64_t otherwise) {
  if (find(message, name) == nullptr) return otherwise;
  return count_member(message, name);
}

Result<bool> flag_member_or(const json& message, const char* name, bool otherwise) {
  if (find(message, name) == nullptr) return otherwise;
  return flag_member(message, name);
}

json reply_message(const json& command, const Result<json>& outcome) {
  json reply = outcome && outcome->is_object() ? *outcome : json::object();
  reply["reply"] = text_member_or(command, "do", "").value_or("");
  if (const json* seq = find(command, "seq")) reply["seq"] = *seq;
  reply["ok"] = outcome.has_value();
  if (!outcome) {
    reply["error"] = outcome.error().text();
    reply["code"] = error_code_name(outcome.error().code);
  }
  return reply;
}

Result<json> outcome_of_reply(json reply) {
  ASSIGN_OR_RETURN(const bool ok, flag_member(reply, "ok"));
  if (ok) return reply;
  const std::string text = text_member_or(reply, "error", "").value_or("");
  const std::string code = text_member_or(reply, "code", "INTERNAL").value_or("INTERNAL");
  return std::unexpected(
      Error{error_code_from_name(code),
            Retry::kNever,
            text.empty() ? "A program refused a command without a reason." : text,
            {}});
}

}  // namespace drover::net
