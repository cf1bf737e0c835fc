// SPDX-License-Identifier: Apache-2.0
// Small changes that take an obstacle to a move out of its way.
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

// The device with other media, as XML for libvirt.
Result<std::string> with_media(const std::string& definition, std::string_view target,
                               const std::string& path) {
  ASSIGN_OR_RETURN(auto document, xml::parse(definition, "domain"));
  for (auto disk : document.document_element().child("devices").children("disk")) {
    const std::string_view device = disk.attribute("device").value();
    if (disk.child("target").attribute("dev").value() != target) continue;
    if (device != "cdrom" && device != "floppy") break;
    for (const char* name : {"backingStore", "source"}) {
      while (const auto child = disk.child(name)) disk.remove_child(child);
    }
    xml::set_attribute(disk, "type", "file");
    if (!path.empty()) {
      auto source = disk.insert_child_before("source", disk.child("target"));
      xml::set_attribute(source, "file", path);
    }
    return xml::write(disk);
  }
  return fail(ErrorCode::kNotFound, "There is no drive {} whose media can be changed.", target);
}

}  // namespace

Status Adapter::change_media(std::string_view uuid, std::string_view target,
                             const std::string& path, InDrive when) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  const auto change = [&](unsigned which, unsigned read) -> Status {
    ASSIGN_OR_RETURN(const std::string text, domain_xml(found.get(), read));
    ASSIGN_OR_RETURN(const std::string device, with_media(text, target, path));
    const unsigned flags = which | VIR_DOMAIN_DEVICE_MODIFY_FORCE;
    if (virDomainUpdateDeviceFlags(found.get(), device.c_str(), flags) == 0) return {};
    return fail_libvirt(fmt::format("Cannot change what is in the drive {}", target));
  };
  if (when != InDrive::kAtNextBoot && virDomainIsActive(found.get()) == 1)
    RETURN_IF_ERROR(change(VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_XML_SECURE));
  if (when == InDrive::kNow || virDomainIsPersistent(found.get()) != 1) return {};
  Status kept = change(VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  // A drive that was plugged in for now alone.
  if (!kept && kept.error().code == ErrorCode::kNotFound) return {};
  return kept;
}

Status Adapter::set_network(std::string_view name, NetworkState state) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  const NetworkHandle network(virNetworkLookupByName(connection.get(), std::string(name).c_str()));
  if (!network) return fail_libvirt(fmt::format("There is no network {}", name));
  const bool active = virNetworkIsActive(network.get()) == 1;
  if (active == (state == NetworkState::kActive)) return {};
  const int done = active ? virNetworkDestroy(network.get()) : virNetworkCreate(network.get());
  if (done == 0) return {};
  return fail_libvirt(fmt::format("Cannot {} the network {}", active ? "stop" : "start", name));
}

}  // namespace drover::libvirt
