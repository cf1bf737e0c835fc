// SPDX-License-Identifier: Apache-2.0
// CPUs as sets of features beside a model, and what is in drives.
#include <algorithm>
#include <optional>

#include "hypervisor/adapt_cpu.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"

namespace drover::fake {

Result<CpuComparison> FakeHypervisor::compare_cpu(std::string_view domain_xml,
                                                  std::vector<std::string>* missing) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  ASSIGN_OR_RETURN(const std::string asked, cpu_element(domain_xml));
  ASSIGN_OR_RETURN(const CpuText wanted, read_cpu(asked));
  if (wanted.model.empty()) return CpuComparison::kSame;
  if (cpu.empty()) return CpuComparison::kSuperset;
  ASSIGN_OR_RETURN(const CpuText here, read_cpu(cpu));
  bool fits = true;
  for (const auto& [name, policy] : wanted.features) {
    if (policy != "require" || here.features.contains(name)) continue;
    fits = false;
    if (missing != nullptr) missing->push_back(name);
  }
  return fits ? CpuComparison::kSuperset : CpuComparison::kIncompatible;
}

Result<std::string> FakeHypervisor::host_cpu(const MachineKind&) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(answering());
  if (cpu.empty()) return fail(ErrorCode::kHypervisor, "The fake knows no CPU.");
  return cpu;
}

// What all have, with the model of the first.
Result<std::string> FakeHypervisor::baseline_cpu(const MachineKind&,
                                                 std::span<const std::string> cpus, CpuFeatures) {
  std::optional<CpuText> common;
  for (const auto& text : cpus) {
    ASSIGN_OR_RETURN(const CpuText one, read_cpu(text));
    if (!common) common = one;
    std::erase_if(common->features,
                  [&](const auto& feature) { return !one.features.contains(feature.first); });
  }
  if (!common) return fail(ErrorCode::kInvalidArgument, "A baseline of no CPU.");
  std::string out = "<cpu mode='custom' match='exact'><model>" + common->model + "</model>";
  for (const auto& [name, policy] : common->features)
    out += "<feature policy='" + policy + "' name='" + name + "'/>";
  return out + "</cpu>";
}

Status FakeHypervisor::change_media(std::string_view uuid, std::string_view target,
                                    const std::string& path, InDrive) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine * found, machine(uuid));
  const auto disk = std::ranges::find(found->vm.disks, target, &Disk::target);
  if (disk == found->vm.disks.end())
    return fail(ErrorCode::kNotFound, "There is no drive {}.", target);
  disk->path = path;
  return {};
}

}  // namespace drover::fake
