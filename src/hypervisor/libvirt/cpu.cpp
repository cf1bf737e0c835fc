// SPDX-License-Identifier: Apache-2.0
// Whether a guest's CPU can be had on this host.
#include <algorithm>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

bool is_feature_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

// libvirt tells missing features only in its error text, as a comma-separated list behind the last
// colon. The wording before it is not looked at; what is not a list of plain names is dropped. For
// people only, never a basis to decide.
std::vector<std::string> features_in(std::string_view text) {
  std::vector<std::string> features;
  const auto colon = text.rfind(": ");
  if (colon == std::string_view::npos) return features;
  text.remove_prefix(colon + 2);
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    if (!is_feature_name(name)) return {};
    features.emplace_back(name);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return features;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

Result<CpuComparison> Adapter::compare_cpu(std::string_view definition,
                                           std::vector<std::string>* missing) {
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(definition));
  // Without a model there is nothing that a host could lack: the hypervisor's default CPU, or the
  // host's own.
  if (facts.cpu_model.empty()) return CpuComparison::kSame;
  ASSIGN_OR_RETURN(const std::string cpu, cpu_element(definition));
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  const auto compare = [&](unsigned flags) {
    return virConnectCompareHypervisorCPU(connection.get(), nullptr, or_null(facts.arch),
                                          or_null(facts.vm.machine), or_null(facts.vm.domain_type),
                                          cpu.c_str(), flags);
  };
  switch (compare(0)) {
    case VIR_CPU_COMPARE_IDENTICAL:
      return CpuComparison::kSame;
    case VIR_CPU_COMPARE_SUPERSET:
      return CpuComparison::kSuperset;
    case VIR_CPU_COMPARE_INCOMPATIBLE:
      break;
    default: {
      // A model or feature whose name libvirt here has never heard of: its CPU code reports it, as
      // an internal error.
      const virErrorPtr last = virGetLastError();
      if (last == nullptr || last->domain != VIR_FROM_CPU) {
        return fail_libvirt(
            fmt::format("Cannot compare the CPU of {} with this host's", facts.vm.name));
      }
      if (missing != nullptr) *missing = {"the model " + facts.cpu_model};
      return CpuComparison::kIncompatible;
    }
  }
  if (missing != nullptr &&
      compare(VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE) == VIR_CPU_COMPARE_ERROR) {
    const virErrorPtr last = virGetLastError();
    if (last != nullptr && last->message != nullptr) *missing = features_in(last->message);
  }
  return CpuComparison::kIncompatible;
}

}  // namespace drover::libvirt
