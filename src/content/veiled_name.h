// SPDX-License-Identifier: Apache-2.0
// Names of content that is not the peer's own (docs/mover_protocol.md, "Held content"). A plain
// name is a linear function of its block, and the source has the key: from names of a block it
// could solve for what it does not know of it. Of a veiled one it can only test a guess. Any
// thread.
#pragma once

#include "content/ops.h"

namespace drover::content {

// SHA-256 of the name, truncated to its length.
Name veiled(const Name& name);

}  // namespace drover::content
