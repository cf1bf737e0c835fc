// SPDX-License-Identifier: Apache-2.0
// The manual in its forms, written from a CommandDoc. Pure functions; any thread.
#pragma once

#include <string>

#include "command_doc.h"

namespace drover::cli {

// What --help prints.
std::string help_text(const CommandDoc& doc);

// "drover-host-invite": the manual page's name; "drover" for the whole.
std::string page_name(const CommandDoc& doc);

// Section 1 in roff. The page of the whole has the exit codes, variables and files.
std::string man_page(const CommandDoc& whole, const CommandDoc& doc);

// docs/cli.md.
std::string markdown(const CommandDoc& whole);

}  // namespace drover::cli
