// SPDX-License-Identifier: Apache-2.0
#include "archive/acceptance.h"

#include <algorithm>

namespace drover::archive {

Status check_acceptance(const Archive& archive) {
  Error refused{ErrorCode::kBlocked, Retry::kNever, "", {}};
  std::vector<std::string> missing;
  for (const Finding& finding : archive.findings) {
    if (finding.level == FindingLevel::kBlocker)
      refused.causes.push_back(fmt::format("{}: {}", finding.code, finding.what));
    const auto& accepted = archive.request.accepted_codes;
    if (finding.level == FindingLevel::kWarning &&
        std::ranges::find(accepted, finding.code) == accepted.end()) {
      missing.push_back(fmt::format("{}: {}", finding.code, finding.what));
    }
  }
  const std::string_view what =
      archive.request.kind == ArchiveKind::kExport ? "exported" : "imported";
  if (!refused.causes.empty()) {
    refused.message = fmt::format("{} cannot be {}.", archive.vm_name, what);
    return std::unexpected(std::move(refused));
  }
  if (missing.empty()) return {};
  refused.message =
      fmt::format("The plan for {} has warnings that were not accepted.", archive.vm_name);
  refused.causes = std::move(missing);
  return std::unexpected(std::move(refused));
}

}  // namespace drover::archive
