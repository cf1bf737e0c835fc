// SPDX-License-Identifier: Apache-2.0
#include "archive/import_checkpoints.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/ranges.h>

#include "archive/import_plan.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/new_identity.h"

namespace drover::archive {
namespace {

bool holds(const std::string& value, const std::string& path) {
  return value.contains(path) ||
         std::filesystem::path(value).lexically_normal().string().contains(path);
}

// A guest that could write there, by a disk or by variables, would choose what libvirt restores.
Status spares_memories(const std::string& definition, const std::set<std::string>& memories) {
  ASSIGN_OR_RETURN(const auto values, definition_values(definition));
  for (const std::string& memory : memories) {
    if (std::ranges::any_of(values, [&](const auto& value) { return holds(value, memory); }))
      return fail(ErrorCode::kPolicy, "{} is memory, and nothing else.", memory);
  }
  return {};
}

struct Judge {
  const CheckpointsToImport& from;
  const HostFacts& host;
  const HostSettings& settings;
  std::set<std::string> imported;  // paths
  std::string uuid;                // of the imported VM

  Status check(const CheckpointText& text) const;
  Status check_definition(const std::string& definition) const;
};

// Nothing but what was imported.
Status Judge::check(const CheckpointText& text) const {
  ASSIGN_OR_RETURN(const auto named, checkpoint_paths(text.xml));
  for (const std::string& path : named) {
    if (!imported.contains(path))
      return fail(ErrorCode::kPolicy, "It names {}, which is not imported.", path);
  }
  ASSIGN_OR_RETURN(const auto definitions, checkpoint_definitions(text.xml));
  for (const std::string& definition : definitions) RETURN_IF_ERROR(check_definition(definition));
  return {};
}

// And what the administrator lets any definition have. A volume of a pool is named by no path:
// another VM's disk may be behind it.
Status Judge::check_definition(const std::string& definition) const {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
  if (domain.vm.uuid != uuid)
    return fail(ErrorCode::kPolicy, "It is one of another VM, {}.", domain.vm.uuid);
  for (const DiskFacts& facts : domain.disks) {
    const Disk& disk = facts.disk;
    if (disk.kind == DiskKind::kVolume || disk.kind == DiskKind::kNetwork ||
        disk.kind == DiskKind::kOther) {
      return fail(ErrorCode::kPolicy, "It has a disk that is no file.");
    }
  }
  RETURN_IF_ERROR(spares_memories(definition, from.memories));
  ASSIGN_OR_RETURN(const auto refused, refused_references(definition, host, settings));
  if (!refused.empty()) return fail(ErrorCode::kPolicy, "{}", fmt::join(refused, "; "));
  return {};
}

Result<CheckpointText> adapt(const CheckpointText& text, const CheckpointsToImport& from) {
  if (text.xml.size() > kDefinitionBytesMax)
    return fail(ErrorCode::kInvalidArgument, "It is larger than {} bytes.", kDefinitionBytesMax);
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, parse_checkpoint(text));
  if (checkpoint.name != text.name)
    return fail(ErrorCode::kInvalidArgument, "Its text calls it {}.", checkpoint.name);
  const bool has_memory = !checkpoint.memory_file.empty();
  if (has_memory && !from.memory_left.empty())
    return fail(ErrorCode::kPolicy, "{}", from.memory_left);
  CheckpointText adapted = text;
  ASSIGN_OR_RETURN(adapted.xml, adapt_checkpoint(text.xml, from.paths));
  // What libvirt will read is what counts, however it was written.
  ASSIGN_OR_RETURN(const Checkpoint placed, parse_checkpoint(adapted));
  if (has_memory && !from.memories.contains(placed.memory_file))
    return fail(ErrorCode::kPolicy, "Its memory, {}, is not imported.", checkpoint.memory_file);
  if (!from.new_identity) return adapted;
  ASSIGN_OR_RETURN(adapted.xml, checkpoint_with_identity(adapted.xml, from.before, from.now));
  return adapted;
}

}  // namespace

Result<std::vector<CheckpointText>> import_checkpoints(const CheckpointsToImport& from,
                                                       const HostFacts& host,
                                                       const HostSettings& settings) {
  ASSIGN_OR_RETURN(const DomainFacts vm, parse_domain(from.now));
  RETURN_IF_ERROR(spares_memories(from.now, from.memories));
  Judge judge{from, host, settings, {}, vm.vm.uuid};
  for (const auto& [before, now] : from.paths) judge.imported.insert(now);
  std::vector<CheckpointText> taken;
  for (const CheckpointText& text : from.texts) {
    auto adapted = adapt(text, from);
    const Status judged =
        adapted ? judge.check(*adapted) : Status(std::unexpected(adapted.error()));
    if (!judged) {
      return std::unexpected(
          wrap(judged.error(), fmt::format("The snapshot {} cannot be taken.", text.name)));
    }
    taken.push_back(std::move(*adapted));
  }
  return taken;
}

}  // namespace drover::archive
