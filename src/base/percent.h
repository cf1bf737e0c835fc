// SPDX-License-Identifier: Apache-2.0
// Text as part of a URI (RFC 3986): names of VMs and folders may hold anything. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace drover {

// Whether a slash parts one name from the next, as in a path, or is a letter of one.
enum class Slash { kParts, kLetter };

// Everything but letters, digits, "-", ".", "_", "~", and a slash that parts, as %XX.
std::string percent_encoded(std::string_view text, Slash slash);

}  // namespace drover
