// SPDX-License-Identifier: Apache-2.0
// libvirt's errors as ours. libvirt keeps the last error per thread, and freeing a handle resets
// it: call fail_libvirt in the statement after the failing call.
#pragma once

#include <expected>
#include <string>

#include <libvirt/virterror.h>

#include "base/error.h"

namespace drover::libvirt {

// `what` is a sentence without its end ("Cannot start web01"). libvirt's domain, code and text
// become the cause.
std::unexpected<Error> fail_libvirt(std::string what);
// The code of this thread's last error; VIR_ERR_OK if there is none.
int last_error_code();
// libvirt prints errors to stderr unless told otherwise. Once per process is enough; more often
// does no harm.
void silence_stderr();

}  // namespace drover::libvirt
