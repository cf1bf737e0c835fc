// SPDX-License-Identifier: Apache-2.0
// What a mover gives up before it reads a byte from another host. Irreversible, for the whole
// process.
#pragma once

#include "base/error.h"

namespace drover::mover {

// As root: a user of its own (drover-mover, or nobody), no groups, an empty root folder without a
// name. Always: no new privileges, not dumpable, limits on memory and descriptors, and a short list
// of system calls: opening, connecting, forking fail with EPERM; exec, ptrace, mount, bpf kill.
// REQUIRES: one thread; whatever opens files lazily is loaded (load_tls).
Status enter_sandbox();

}  // namespace drover::mover
