// SPDX-License-Identifier: Apache-2.0
// May a plan be carried out as it stands? One rule for terminals and for scripts. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "model/plan.h"

namespace drover::cli {

// What the caller of `drover move` brought along.
struct Consent {
  bool yes = false;                   // --yes: accepts notes
  std::vector<std::string> accepted;  // --accept CODE: accepts these warnings
  bool terminal = false;              // there is a person to ask
};

enum class Verdict {
  kGo,      // start the move
  kAsk,     // show the plan and ask; a yes accepts its notes and warnings
  kRefuse,  // exit code 2, nothing is done
};

struct Decision {
  Verdict verdict = Verdict::kRefuse;
  std::string reason;  // kRefuse: why, and what would help
};

// Blockers are never overridden. Without a terminal and without --yes nothing is done.
Decision decide(const Plan& plan, const Consent& consent);

// Codes of a level, each once, in the plan's order.
std::vector<std::string> codes(const Plan& plan, FindingLevel level);

}  // namespace drover::cli
