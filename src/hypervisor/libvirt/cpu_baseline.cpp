// SPDX-License-Identifier: Apache-2.0
// The CPU that several hosts can give.
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// A host-model of <domainCapabilities> as the <cpu> of a definition.
std::string cpu_of(const pugi::xml_node& mode) {
  pugi::xml_document document;
  auto cpu = document.append_child("cpu");
  xml::set_attribute(cpu, "mode", "custom");
  xml::set_attribute(cpu, "match", "exact");
  for (const char* name : {"model", "vendor"}) {
    if (const auto child = mode.child(name)) cpu.append_copy(child);
  }
  for (const auto& feature : mode.children("feature")) cpu.append_copy(feature);
  return xml::write(cpu);
}

}  // namespace

Result<std::string> Adapter::host_cpu(const MachineKind& machine) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  const Text text(virConnectGetDomainCapabilities(connection.get(), nullptr, or_null(machine.arch),
                                                  or_null(machine.machine),
                                                  or_null(machine.domain_type), 0));
  if (!text) {
    return fail_libvirt(fmt::format("Cannot ask for what a guest of the machine {} ({}) can have",
                                    machine.machine, machine.domain_type));
  }
  ASSIGN_OR_RETURN(const auto document, xml::parse(text.get(), "domainCapabilities"));
  for (const auto& mode : document.document_element().child("cpu").children("mode")) {
    const bool usable = std::string_view(mode.attribute("supported").value()) == "yes";
    if (std::string_view(mode.attribute("name").value()) == "host-model" && usable)
      return cpu_of(mode);
  }
  return fail(ErrorCode::kHypervisor,
              "The hypervisor here has no CPU model of its host for the machine {} ({}).",
              machine.machine, machine.domain_type);
}

Result<std::string> Adapter::baseline_cpu(const MachineKind& machine,
                                          std::span<const std::string> cpus, CpuFeatures features) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  std::vector<const char*> texts;
  for (const auto& cpu : cpus) texts.push_back(cpu.c_str());
  unsigned flags = VIR_CONNECT_BASELINE_CPU_MIGRATABLE;
  if (features == CpuFeatures::kAll) flags |= VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES;
  const Text text(virConnectBaselineHypervisorCPU(
      connection.get(), nullptr, or_null(machine.arch), or_null(machine.machine),
      or_null(machine.domain_type), texts.data(), static_cast<unsigned>(texts.size()), flags));
  if (!text) return fail_libvirt("Cannot compute a CPU that all of these hosts have");
  return std::string(text.get());
}

}  // namespace drover::libvirt
