// SPDX-License-Identifier: Apache-2.0
// Reads one JSON object strictly: every member is asked for by name, what was not asked for is
// unknown. Internal to .cpp files that may use nlohmann::json. The first fault wins; later calls do
// nothing. Not thread-safe.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/byte_count.h"
#include "base/error.h"
#include "json/decode.h"
#include "json/model_json.h"

namespace drover::json {

// Text to a tree. kProtocol: not JSON, a member twice, or nested deeper than 32.
Result<nlohmann::json> parse(std::string_view text);
// A tree to text; bytes that are not UTF-8 become U+FFFD.
std::string dump(const nlohmann::json& value);

class Fields {
 public:
  // `path` names the object in errors: "" or "disks[0]". REQUIRES: `object` outlives this.
  Fields(const nlohmann::json& object, std::string path, Unknown unknown);

  // The member must be there.
  template <typename T>
  Fields& need(const char* name, T& out) {
    if (const auto* value = find(name); value != nullptr)
      read(*value, name, out);
    else
      set_error(name, "is missing");
    return *this;
  }
  // Absent leaves `out` as it is.
  template <typename T>
  Fields& may(const char* name, T& out) {
    if (const auto* value = find(name); value != nullptr) read(*value, name, out);
    return *this;
  }
  // Absent and null are nothing.
  template <typename T>
  Fields& may(const char* name, std::optional<T>& out) {
    const auto* value = find(name);
    if (value == nullptr || value->is_null()) return *this;
    T inner{};
    read(*value, name, inner);
    if (!error_) out = std::move(inner);
    return *this;
  }

  // The verdict, unknown members included.
  Status finish();
  void set_error(std::string_view name, std::string_view what);
  Unknown unknown() const { return unknown_; }
  std::string path_of(std::string_view name) const;
  void adopt(Error error);

 private:
  const nlohmann::json* find(const char* name);

  void read(const nlohmann::json& value, const char* name, std::string& out);
  void read(const nlohmann::json& value, const char* name, bool& out);
  void read(const nlohmann::json& value, const char* name, ByteCount& out) {
    read(value, name, out.bytes);
  }
  void read(const nlohmann::json& value, const char* name, BytesPerSecond& out) {
    read(value, name, out.value);
  }
  void read(const nlohmann::json& value, const char* name, std::chrono::milliseconds& out);
  void read(const nlohmann::json& value, const char* name, Time& out);
  void read(const nlohmann::json& value, const char* name, nlohmann::json& out);

  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  void read(const nlohmann::json& value, const char* name, T& out) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<T>::max()) {
      return set_error(name, "must be a whole number from 0 to " +
                                 std::to_string(std::numeric_limits<T>::max()));
    }
    out = static_cast<T>(value.get<std::uint64_t>());
  }
  void read(const nlohmann::json& value, const char* name, int& out);

  template <typename T>
  void read(const nlohmann::json& value, const char* name, std::vector<T>& out) {
    if (!value.is_array()) return set_error(name, "must be an array");
    out.clear();
    for (std::size_t i = 0; i < value.size() && !error_; ++i) {
      T item{};
      read(value[i], (std::string(name) + "[" + std::to_string(i) + "]").c_str(), item);
      out.push_back(std::move(item));
    }
  }

  // Values of the model: see json/decode.h.
  template <typename T>
    requires requires(const nlohmann::json& j, T& out) {
      decode(j, std::string(), Unknown::kRefuse, out);
    }
  void read(const nlohmann::json& value, const char* name, T& out) {
    if (auto status = decode(value, path_of(name), unknown_, out); !status)
      adopt(std::move(status).error());
  }
  // Enumerations: likewise.
  template <typename T>
    requires requires(std::string_view text, T& out) { decode_name(text, out); }
  void read(const nlohmann::json& value, const char* name, T& out) {
    if (!value.is_string() || !decode_name(value.get_ref<const std::string&>(), out)) {
      set_error(name, "has no known value");
    }
  }

  const nlohmann::json* object_;
  std::string path_;
  Unknown unknown_;
  std::set<std::string, std::less<>> asked_;
  std::optional<Error> error_;
};

}  // namespace drover::json
