// SPDX-License-Identifier: Apache-2.0
#include "consent.h"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "display_width.h"

namespace drover::cli {

std::vector<std::string> codes(const Plan& plan, FindingLevel level) {
  std::vector<std::string> found;
  for (const Finding& finding : plan.findings) {
    if (finding.level == level && std::ranges::find(found, finding.code) == found.end()) {
      found.push_back(finding.code);
    }
  }
  return found;
}

Decision decide(const Plan& plan, const Consent& consent) {
  const std::string vm = printable(plan.vm.name);
  if (const auto blockers = codes(plan, FindingLevel::kBlocker); !blockers.empty()) {
    return {Verdict::kRefuse,
            fmt::format("{} cannot move: {}. Nothing was changed.", vm, fmt::join(blockers, ", "))};
  }
  if (!consent.yes) {
    if (consent.terminal) return {Verdict::kAsk, ""};
    return {Verdict::kRefuse,
            fmt::format("The move of {} is not confirmed, and there is no terminal to ask on. "
                        "Nothing was changed. Fix: look at the plan and add --yes.",
                        vm)};
  }
  auto open = codes(plan, FindingLevel::kWarning);
  std::erase_if(open, [&](const std::string& code) {
    return std::ranges::find(consent.accepted, code) != consent.accepted.end();
  });
  if (open.empty()) return {Verdict::kGo, ""};
  return {Verdict::kRefuse,
          fmt::format("--yes does not accept warnings. Nothing was changed. Fix: if they do not "
                      "matter for {}, add --accept {}.",
                      vm, fmt::join(open, " --accept "))};
}

}  // namespace drover::cli
