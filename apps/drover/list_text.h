// SPDX-License-Identifier: Apache-2.0
// `drover list` for people: VMs with what is odd about them. Pure functions; any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "model/access.h"

namespace drover::cli {

std::string list_text(const VmListing& listing);

// Lines for standard error: hosts that did not answer, and VMs that run on two hosts at once.
std::string list_troubles(const VmListing& listing);

// The same as the API gives it.
std::string listing_json(const VmListing& listing);

// Keeps one host's VMs. An error: the host's own, it did not answer.
Status keep_host(VmListing& listing, const std::string& host);

}  // namespace drover::cli
