// SPDX-License-Identifier: Apache-2.0
// Guests saved into files, and restored from them.
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {

Status Adapter::suspend(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainSuspend(found.get()) != 0)
    return fail_libvirt(fmt::format("Cannot suspend the VM {}", uuid));
  return {};
}

// Each on a connection of its own: the call occupies it for as long as it lasts, and an abort must
// not queue behind it.
Status Adapter::save(std::string_view uuid, std::string_view path, Then then) {
  ASSIGN_OR_RETURN(const auto connection, connection_.open_own());
  ASSIGN_OR_RETURN(const auto domain, look_up(connection.get(), uuid));
  const unsigned flags = then == Then::kRuns ? VIR_DOMAIN_SAVE_RUNNING : VIR_DOMAIN_SAVE_PAUSED;
  if (virDomainSaveFlags(domain.get(), std::string(path).c_str(), nullptr, flags) != 0)
    return fail_libvirt(fmt::format("Cannot save the VM {}", uuid));
  return {};
}

Status Adapter::restore(std::string_view path, std::string_view xml) {
  ASSIGN_OR_RETURN(const auto connection, connection_.open_own());
  const std::string definition(xml);
  if (virDomainRestoreFlags(connection.get(), std::string(path).c_str(),
                            definition.empty() ? nullptr : definition.c_str(), 0) != 0) {
    return fail_libvirt(fmt::format("Cannot restore the VM from {}", path));
  }
  return {};
}

// libvirt's start looks for it by this name alone, and its undefine refuses while it is there. That
// it is there libvirt's other calls say as of its daemon's own start, or its own save.
std::string saved_memory_path(std::string_view name) {
  return fmt::format("/var/lib/libvirt/qemu/save/{}.save", name);
}

std::string Adapter::saved_memory_file(std::string_view name) const {
  return saved_memory_path(name);
}

Result<std::string> Adapter::saved_definition(std::string_view path) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  const Text text(virDomainSaveImageGetXMLDesc(connection.get(), std::string(path).c_str(),
                                               VIR_DOMAIN_XML_SECURE));
  if (!text) return fail_libvirt(fmt::format("Cannot read the definition in {}", path));
  return std::string(text.get());
}

Status Adapter::define_saved(std::string_view path, std::string_view xml) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  if (virDomainSaveImageDefineXML(connection.get(), std::string(path).c_str(),
                                  std::string(xml).c_str(), 0) != 0) {
    return fail_libvirt(fmt::format("Cannot change the definition in {}", path));
  }
  return {};
}

}  // namespace drover::libvirt
