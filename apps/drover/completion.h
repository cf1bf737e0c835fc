// SPDX-License-Identifier: Apache-2.0
// Scripts that complete `drover` in a shell, written from a CommandDoc. Names of VMs, hosts and
// moves are asked of the daemon when Tab is pressed. Pure functions; any thread.
#pragma once

#include <string>

#include "command_doc.h"

namespace drover::cli {

std::string bash_completion(const CommandDoc& whole);
std::string zsh_completion(const CommandDoc& whole);

}  // namespace drover::cli
