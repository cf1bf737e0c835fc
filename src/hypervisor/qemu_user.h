// SPDX-License-Identifier: Apache-2.0
// Programs of QEMU's that we start, as the user that QEMU runs as. Private to src/hypervisor. Any
// thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace drover {

// What to put before a program's words: setpriv(1) and its options, for that user without any other
// rights, and an end with the thread that starts it. kNotFound: there is no such user.
Result<std::vector<std::string>> as_qemu_user(const std::string& user);

}  // namespace drover
