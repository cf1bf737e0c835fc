// SPDX-License-Identifier: Apache-2.0
// Move groups: VMs which may share the content of their disks when they move (docs/groups.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

inline constexpr std::size_t kGroupNameMax = 32;
inline constexpr std::size_t kGroupsMax = 64;  // that a host allows

// 1 to kGroupNameMax of a-z, 0-9, "-" and "_", of which the first is a letter or digit; not "off".
bool is_group_name(std::string_view name);
// kInvalidArgument unless it is one; says what is.
Status check_group_name(std::string_view name);

std::string groups_text(const std::vector<std::string>& groups);  // "web,db"; none: "off"
// The same; each once, in its order.
Result<std::vector<std::string>> parse_groups(std::string_view text);

}  // namespace drover
