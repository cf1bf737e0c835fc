// SPDX-License-Identifier: Apache-2.0
// Calls whose outcome nobody knows. Pure.
#pragma once

#include "base/error.h"

namespace drover::fit {

// The hypervisor may have done what it was asked for all the same: its answer is missing.
inline bool may_be_done(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
}

}  // namespace drover::fit
