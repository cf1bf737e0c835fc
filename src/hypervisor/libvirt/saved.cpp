// SPDX-License-Identifier: Apache-2.0
// Guests saved into files, and restored from them.
#include <sstream>

#include <pugixml.hpp>

#include "hypervisor/domain_xml.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

// A snapshot of the memory alone. libvirt takes each disk along that is not named.
Result<std::string> memory_alone(const std::string& definition, std::string_view path) {
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
  pugi::xml_document document;
  auto snapshot = document.append_child("domainsnapshot");
  auto memory = snapshot.append_child("memory");
  memory.append_attribute("snapshot") = "external";
  memory.append_attribute("file") = std::string(path).c_str();
  auto disks = snapshot.append_child("disks");
  for (const DiskFacts& facts : domain.disks) {
    auto disk = disks.append_child("disk");
    disk.append_attribute("name") = facts.disk.target.c_str();
    disk.append_attribute("snapshot") = "no";
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return text.str();
}

Result<std::string> definition_in(virConnectPtr connection, std::string_view path) {
  const Text text(
      virDomainSaveImageGetXMLDesc(connection, std::string(path).c_str(), VIR_DOMAIN_XML_SECURE));
  if (!text) return fail_libvirt(fmt::format("Cannot read the definition in {}", path));
  return std::string(text.get());
}

// `flags`: how the guest goes on; 0: as the file says.
Status put_definition(virConnectPtr connection, std::string_view path, std::string_view xml,
                      unsigned flags) {
  if (virDomainSaveImageDefineXML(connection, std::string(path).c_str(), std::string(xml).c_str(),
                                  flags) != 0) {
    return fail_libvirt(fmt::format("Cannot change the definition in {}", path));
  }
  return {};
}

}  // namespace

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
  return definition_in(connection.get(), path);
}

// libvirt has no other call that writes the memory and keeps the guest. It writes down that the
// guest stood still, which is not how it shall go on.
Status Adapter::write_memory(std::string_view uuid, std::string_view path) {
  ASSIGN_OR_RETURN(const auto connection, connection_.open_own());
  ASSIGN_OR_RETURN(const auto domain, look_up(connection.get(), uuid));
  ASSIGN_OR_RETURN(const std::string live, domain_xml(domain.get(), 0));
  ASSIGN_OR_RETURN(const std::string wanted, memory_alone(live, path));
  const SnapshotHandle made(virDomainSnapshotCreateXML(domain.get(), wanted.c_str(),
                                                       VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA));
  if (!made) return fail_libvirt(fmt::format("Cannot write the memory of the VM {}", uuid));
  ASSIGN_OR_RETURN(const std::string xml, definition_in(connection.get(), path));
  return put_definition(connection.get(), path, xml, VIR_DOMAIN_SAVE_RUNNING);
}

Status Adapter::define_saved(std::string_view path, std::string_view xml) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  return put_definition(connection.get(), path, xml, 0);
}

}  // namespace drover::libvirt
