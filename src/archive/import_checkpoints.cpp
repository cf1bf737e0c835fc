// SPDX-License-Identifier: Apache-2.0
#include "archive/import_checkpoints.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "archive/import_plan.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/new_identity.h"

namespace drover::archive {
namespace {

// Nothing but what was imported, and what the administrator lets any definition have. A volume of a
// pool is named by no path: another VM's disk may be behind it.
Status judge(const CheckpointText& text, const std::set<std::string>& imported,
             const HostFacts& host, const HostSettings& settings) {
  ASSIGN_OR_RETURN(const auto named, checkpoint_paths(text.xml));
  for (const std::string& path : named) {
    if (!imported.contains(path))
      return fail(ErrorCode::kPolicy, "It names {}, which is not imported.", path);
  }
  ASSIGN_OR_RETURN(const auto definitions, checkpoint_definitions(text.xml));
  for (const std::string& definition : definitions) {
    ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
    if (std::ranges::any_of(domain.disks, [](const DiskFacts& disk) {
          return disk.disk.kind == DiskKind::kVolume || disk.disk.kind == DiskKind::kNetwork ||
                 disk.disk.kind == DiskKind::kOther;
        })) {
      return fail(ErrorCode::kPolicy, "It has a disk that is no file.");
    }
    ASSIGN_OR_RETURN(const auto refused, refused_references(definition, host, settings));
    if (!refused.empty()) return fail(ErrorCode::kPolicy, "{}", fmt::join(refused, "; "));
  }
  return {};
}

Result<CheckpointText> adapt(const CheckpointText& text, const CheckpointsToImport& from) {
  if (text.xml.size() > kDefinitionBytesMax)
    return fail(ErrorCode::kInvalidArgument, "It is larger than {} bytes.", kDefinitionBytesMax);
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, parse_checkpoint(text));
  if (checkpoint.name != text.name)
    return fail(ErrorCode::kInvalidArgument, "Its text calls it {}.", checkpoint.name);
  if (!checkpoint.memory_file.empty())
    return fail(ErrorCode::kPolicy, "Its memory is in a file, which has a definition of its own.");
  CheckpointText adapted = text;
  ASSIGN_OR_RETURN(adapted.xml, adapt_checkpoint(text.xml, from.paths));
  if (!from.new_identity) return adapted;
  ASSIGN_OR_RETURN(adapted.xml, checkpoint_with_identity(adapted.xml, from.before, from.now));
  return adapted;
}

}  // namespace

Result<std::vector<CheckpointText>> import_checkpoints(const CheckpointsToImport& from,
                                                       const HostFacts& host,
                                                       const HostSettings& settings) {
  std::set<std::string> imported;
  for (const auto& [before, now] : from.paths) imported.insert(now);
  std::vector<CheckpointText> taken;
  for (const CheckpointText& text : from.texts) {
    auto adapted = adapt(text, from);
    const Status judged = adapted ? judge(*adapted, imported, host, settings)
                                  : Status(std::unexpected(adapted.error()));
    if (!judged) {
      return std::unexpected(
          wrap(judged.error(), fmt::format("The snapshot {} cannot be taken.", text.name)));
    }
    taken.push_back(std::move(*adapted));
  }
  return taken;
}

}  // namespace drover::archive
