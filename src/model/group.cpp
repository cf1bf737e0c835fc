// SPDX-License-Identifier: Apache-2.0
#include "model/group.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace drover {
namespace {

constexpr std::string_view kNone = "off";

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_group_name(std::string_view name) {
  if (name.empty() || name.size() > kGroupNameMax || name == kNone) return false;
  return is_letter_or_digit(name.front()) && std::ranges::all_of(name, [](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '_';
         });
}

Status check_group_name(std::string_view name) {
  if (is_group_name(name)) return {};
  return fail(ErrorCode::kInvalidArgument,
              "\"{}\" is no name of a group: 1 to {} of a-z, 0-9, - and _, the first a letter or "
              "digit; not off.",
              name.substr(0, 2 * kGroupNameMax), kGroupNameMax);
}

std::string groups_text(const std::vector<std::string>& groups) {
  return groups.empty() ? std::string(kNone) : fmt::format("{}", fmt::join(groups, ","));
}

Result<std::vector<std::string>> parse_groups(std::string_view text) {
  std::vector<std::string> groups;
  if (text == kNone) return groups;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    RETURN_IF_ERROR(check_group_name(name));
    if (std::ranges::find(groups, name) == groups.end()) groups.emplace_back(name);
    if (groups.size() > kGroupsMax) {
      return fail(ErrorCode::kInvalidArgument, "At most {} groups are allowed.", kGroupsMax);
    }
    if (comma == std::string_view::npos) return groups;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace drover
