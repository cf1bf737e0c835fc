// SPDX-License-Identifier: Apache-2.0
// One disk of a definition, from another definition of the same VM. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

// The persistent definition with the disk `target` as the live one has it; where that has none,
// without it. kNotFound: the persistent one has no such disk.
Result<std::string> take_disk_over(std::string_view persistent_xml, std::string_view live_xml,
                                   std::string_view target);

}  // namespace drover
