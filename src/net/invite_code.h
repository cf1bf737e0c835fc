// SPDX-License-Identifier: Apache-2.0
// The code of an invite: 130 random bits and 10 check bits in Crockford's base32, "K3F9-X2QA-…",
// and the TLS external PSK made of it (docs/pairing.md). Why so long: docs/threat_model.md,
// "Pairing". Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "net/digest.h"

namespace drover::net {

// What both sides make of a code. `identity` travels in the clear and tells nothing of the key.
struct InviteSecret {
  std::string identity;
  Digest key;
};

// Seven groups of four.
std::string make_invite_code();
// Takes lower case, missing dashes, and o, i, l for 0, 1, 1. kInvalidArgument: mistyped, which the
// check bits show.
Result<InviteSecret> read_invite_code(std::string_view code);

}  // namespace drover::net
