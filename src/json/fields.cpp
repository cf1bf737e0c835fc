// SPDX-License-Identifier: Apache-2.0
#include "json/fields.h"

#include <fmt/core.h>

namespace drover::json {
namespace {

constexpr int kDepthMax = 32;

// Stops on a member given twice and on deep nesting; nlohmann itself lets the last one win.
class Guard {
 public:
  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kDepthMax) throw Fault{fmt::format("it is nested deeper than {}", kDepthMax)};
    if (event == Event::object_start) seen_.emplace_back();
    if (event == Event::object_end) seen_.pop_back();
    if (event == Event::key && !seen_.back().insert(parsed.get<std::string>()).second) {
      throw Fault{fmt::format("the member {} is there twice", parsed.get<std::string>())};
    }
    return true;
  }
  struct Fault {
    std::string what;
  };

 private:
  std::vector<std::set<std::string>> seen_;
};

}  // namespace

Result<nlohmann::json> parse(std::string_view text) {
  Guard guard;
  try {
    return nlohmann::json::parse(
        text, [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
          return guard(depth, event, parsed);
        });
  } catch (const Guard::Fault& fault) {
    return fail(ErrorCode::kProtocol, "The JSON text is not usable: {}.", fault.what);
  } catch (const nlohmann::json::exception& error) {
    return std::unexpected(
        Error{ErrorCode::kProtocol, Retry::kNever, "The text is not JSON.", {error.what()}});
  }
}

std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Fields::Fields(const nlohmann::json& object, std::string path, Unknown unknown)
    : object_(&object), path_(std::move(path)), unknown_(unknown) {
  if (!object.is_object()) {
    error_ =
        fail(ErrorCode::kProtocol, "{} must be a JSON object.", path_.empty() ? "The text" : path_)
            .error();
  }
}

const nlohmann::json* Fields::find(const char* name) {
  asked_.emplace(name);
  if (error_) return nullptr;
  const auto found = object_->find(name);
  return found == object_->end() ? nullptr : &*found;
}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Fields::set_error(std::string_view name, std::string_view what) {
  if (!error_)
    error_ =
        Error{ErrorCode::kProtocol, Retry::kNever, fmt::format("{} {}.", path_of(name), what), {}};
}

void Fields::adopt(Error error) {
  if (!error_) error_ = std::move(error);
}

Status Fields::finish() {
  if (!error_ && unknown_ == Unknown::kRefuse) {
    for (const auto& [name, value] : object_->items()) {
      if (!asked_.contains(name)) set_error(name, "is not a known member");
    }
  }
  if (error_) return std::unexpected(*error_);
  return {};
}

void Fields::read(const nlohmann::json& value, const char* name, std::string& out) {
  if (!value.is_string()) return set_error(name, "must be text");
  out = value.get<std::string>();
}

void Fields::read(const nlohmann::json& value, const char* name, bool& out) {
  if (!value.is_boolean()) return set_error(name, "must be true or false");
  out = value.get<bool>();
}

void Fields::read(const nlohmann::json& value, const char* name, int& out) {
  if (!value.is_number_integer() || value > std::numeric_limits<int>::max() ||
      value < std::numeric_limits<int>::min()) {
    return set_error(name, "must be a whole number");
  }
  out = value.get<int>();
}

void Fields::read(const nlohmann::json& value, const char* name, std::chrono::milliseconds& out) {
  // About 31,000 years: no sum of two spans overflows.
  constexpr std::uint64_t kSpanMax = 1'000'000'000'000'000;
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kSpanMax) {
    return set_error(name, "must be a whole number of milliseconds");
  }
  out = std::chrono::milliseconds(value.get<std::int64_t>());
}

void Fields::read(const nlohmann::json& value, const char* name, Time& out) {
  if (!value.is_string()) return set_error(name, "must be an RFC 3339 time");
  auto time = time_from_text(value.get_ref<const std::string&>());
  if (!time) return set_error(name, "must be an RFC 3339 time");
  out = *time;
}

void Fields::read(const nlohmann::json& value, const char*, nlohmann::json& out) { out = value; }

}  // namespace drover::json
