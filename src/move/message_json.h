// SPDX-License-Identifier: Apache-2.0
// Members of a JSON object read one by one, with an error that names the member. For job_json.cpp
// and what reads messages alone; nothing here throws. Unknown members are ignored: a peer or a
// later Drover may be ahead.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace drover::move {

class ObjectReader {
 public:
  static Result<ObjectReader> parse(std::string_view text, std::string what) {
    auto value = nlohmann::json::parse(text, nullptr, false);
    if (!value.is_object()) return fail(ErrorCode::kProtocol, "The {} is not a JSON object.", what);
    return ObjectReader(std::move(value), std::move(what));
  }

  // The first member that was missing or of another type; check it once, at the end.
  Status status() const {
    if (error_) return std::unexpected(*error_);
    return {};
  }

  std::string text(const char* name) {
    const auto* value = member(name, [](const auto& v) { return v.is_string(); }, "a text");
    return value ? value->get<std::string>() : std::string();
  }
  bool flag(const char* name) {
    const auto* value = member(name, [](const auto& v) { return v.is_boolean(); }, "true or false");
    return value != nullptr && value->get<bool>();
  }
  // For members that earlier versions did not write.
  bool has(const char* name) const { return value_.contains(name); }
  bool flag_or_false(const char* name) { return has(name) && flag(name); }
  std::uint64_t number(const char* name) {
    const auto* value =
        member(name, [](const auto& v) { return v.is_number_unsigned(); }, "a number");
    return value ? value->get<std::uint64_t>() : 0;
  }
  std::int64_t signed_number(const char* name) {
    const auto fits = [](const auto& v) {
      return v.is_number_integer() && (!v.is_number_unsigned() ||
                                       v.template get<std::uint64_t>() <=
                                           std::uint64_t{std::numeric_limits<std::int64_t>::max()});
    };
    const auto* value = member(name, fits, "a number");
    return value ? value->get<std::int64_t>() : 0;
  }
  // The member's own JSON text, for a decoder of the model.
  std::string object(const char* name) {
    const auto* value = member(name, [](const auto& v) { return v.is_object(); }, "an object");
    return value ? value->dump() : std::string("{}");
  }
  std::string array(const char* name) {
    const auto* value = member(name, [](const auto& v) { return v.is_array(); }, "a list");
    return value ? value->dump() : std::string("[]");
  }
  const nlohmann::json* elements(const char* name) {
    return member(name, [](const auto& v) { return v.is_array(); }, "a list");
  }
  void note(Error error) {
    if (!error_) error_ = std::move(error);
  }
  // Keeps the first error of a nested decoder.
  template <typename T>
  T take(Result<T> result) {
    if (result) return std::move(*result);
    note(std::move(result.error()));
    return T{};
  }

 private:
  ObjectReader(nlohmann::json value, std::string what)
      : value_(std::move(value)), what_(std::move(what)) {}

  template <typename IsRight>
  const nlohmann::json* member(const char* name, IsRight is_right, const char* expected) {
    const auto it = value_.find(name);
    if (it != value_.end() && is_right(*it)) return &*it;
    note(Error{ErrorCode::kProtocol,
               Retry::kNever,
               fmt::format("{} of the {} is not {}.", name, what_, expected),
               {}});
    return nullptr;
  }

  nlohmann::json value_;
  std::string what_;
  std::optional<Error> error_;
};

// A model value as JSON, to be a member.
inline nlohmann::json embed(const std::string& text) {
  return nlohmann::json::parse(text, nullptr, false);
}

// Texts come from file names and XML; what is no UTF-8 is replaced, never thrown over.
inline std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace drover::move
