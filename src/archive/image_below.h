// SPDX-License-Identifier: Apache-2.0
// What a qcow2 image says that it is based on. Any thread.
#pragma once

#include <string>

#include "base/error.h"

namespace drover::archive {

// Written into its header, and on stable storage; neither image is looked at otherwise. `image`: a
// qcow2, open for writing, that nobody uses; `name` is for messages. `below`: a path, or a name
// beside it.
Status set_below(int image, const std::string& name, const std::string& below,
                 const std::string& format_below);

}  // namespace drover::archive
