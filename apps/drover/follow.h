// SPDX-License-Identifier: Apache-2.0
// Watches a move until it ends: one line redrawn on a terminal, lines otherwise, JSON lines with
// --json; never silent for more than two seconds. Ctrl-C ends the watching, not the move.
#pragma once

#include <optional>

#include "base/error.h"
#include "client/api_client.h"
#include "model/move.h"
#include "session.h"

namespace drover::cli {

// Nothing: Ctrl-C. Else the move as it ended. kUnavailable: the daemon was away for too long; the
// move goes on without us.
Result<std::optional<Move>> follow(const Session& session, client::ApiClient& client,
                                   const Move& move);

// Says that the move goes on, and how to watch and end it.
void say_it_goes_on(const Move& move);

}  // namespace drover::cli
