// SPDX-License-Identifier: Apache-2.0
// `drover settings set KEY=VALUE`, KEY+=VALUE, KEY-=VALUE on plain HostSettings. Pure functions;
// any thread.
#pragma once

#include <string_view>

#include "base/error.h"
#include "model/access.h"
#include "model/host.h"

namespace drover::journal {

// kInvalidArgument names the key, the value and what would be right; `settings` is then unchanged.
Status apply(const SettingChange& change, HostSettings& settings);
// Rules that hold between settings: default_folder lies in an allowed folder.
Status check_settings(const HostSettings& settings);

// Absolute, without "." or ".." or empty parts, without a slash at the end, not "/" itself, no
// control characters.
bool is_plain_folder(std::string_view path);

}  // namespace drover::journal
