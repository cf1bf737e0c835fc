// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/new_identity.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "base/random.h"
#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

constexpr std::size_t kNameMax = 64;
constexpr std::string_view kQemuVendor = "52:54:00";
constexpr std::size_t kVendorText = 8;  // "52:54:00"

std::string fresh_mac(std::string_view former) {
  std::array<std::uint8_t, 3> own{};
  fill_random(own);
  const std::string_view vendor =
      former.size() > kVendorText ? former.substr(0, kVendorText) : kQemuVendor;
  return fmt::format("{}:{:02x}:{:02x}:{:02x}", vendor, own[0], own[1], own[2]);
}

void give_macs(pugi::xml_node devices) {
  for (auto interface : devices.children("interface")) {
    auto mac = interface.child("mac");
    if (!mac) mac = interface.prepend_child("mac");
    xml::set_attribute(mac, "address", fresh_mac(mac.attribute("address").as_string()));
  }
}

// Two guests with one address cannot run on one host.
void free_vsocks(pugi::xml_node devices) {
  for (auto vsock : devices.children("vsock")) {
    auto cid = vsock.child("cid");
    if (!cid) continue;
    xml::set_attribute(cid, "auto", "yes");
    cid.remove_attribute("address");
  }
}

// libvirt refuses a definition whose SMBIOS names another UUID.
void set_smbios_uuid(pugi::xml_node domain, const std::string& uuid) {
  for (auto sysinfo : domain.children("sysinfo")) {
    for (auto entry : sysinfo.child("system").children("entry")) {
      if (std::string_view(entry.attribute("name").value()) == "uuid")
        entry.text().set(uuid.c_str());
    }
  }
}

void set_child(pugi::xml_node parent, const char* name, const std::string& text) {
  auto child = parent.child(name);
  if (!child) child = parent.prepend_child(name);
  child.text().set(text.c_str());
}

std::map<std::string, std::string> macs_by_former(pugi::xml_node before, pugi::xml_node now) {
  std::map<std::string, std::string> macs;
  auto present = now.child("devices").child("interface");
  for (auto former : before.child("devices").children("interface")) {
    macs[former.child("mac").attribute("address").value()] =
        present.child("mac").attribute("address").value();
    present = present.next_sibling("interface");
  }
  return macs;
}

}  // namespace

std::string random_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  fill_random(bytes);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string text = to_hex(bytes);
  for (const std::size_t dash : {8u, 13u, 18u, 23u}) text.insert(dash, 1, '-');
  return text;
}

bool is_vm_name(std::string_view name) {
  if (name.empty() || name.size() > kNameMax || name.front() == '.' || name.front() == '-')
    return false;
  return std::ranges::none_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/'; });
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

Result<std::string> with_identity(std::string_view xml, std::string_view name,
                                  std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  auto domain = document.document_element();
  domain.remove_attribute("id");
  set_child(domain, "uuid", std::string(uuid));
  set_child(domain, "name", std::string(name));
  set_smbios_uuid(domain, std::string(uuid));
  if (auto generation = domain.child("genid")) generation.text().set(random_uuid().c_str());
  give_macs(domain.child("devices"));
  free_vsocks(domain.child("devices"));
  return xml::write(domain);
}

Result<std::string> checkpoint_with_identity(std::string_view checkpoint_xml,
                                             std::string_view before, std::string_view now) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(checkpoint_xml, "domainsnapshot"));
  ASSIGN_OR_RETURN(const auto former, xml::parse(before, "domain"));
  ASSIGN_OR_RETURN(const auto present, xml::parse(now, "domain"));
  const auto macs = macs_by_former(former.document_element(), present.document_element());
  const auto vm = present.document_element();
  for (const char* name : {"domain", "inactiveDomain"}) {
    auto domain = document.document_element().child(name);
    if (!domain) continue;
    domain.remove_attribute("id");
    set_child(domain, "uuid", vm.child("uuid").text().get());
    set_child(domain, "name", vm.child("name").text().get());
    set_smbios_uuid(domain, vm.child("uuid").text().get());
    if (auto generation = domain.child("genid"))
      generation.text().set(vm.child("genid").text().as_string(random_uuid().c_str()));
    for (auto interface : domain.child("devices").children("interface")) {
      auto mac = interface.child("mac").attribute("address");
      if (!mac) continue;
      const auto known = macs.find(mac.value());
      mac.set_value((known == macs.end() ? fresh_mac(mac.value()) : known->second).c_str());
    }
    free_vsocks(domain.child("devices"));
  }
  return xml::write(document.document_element());
}

Result<std::string> with_uuid(std::string_view xml, std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  set_child(document.document_element(), "uuid", std::string(uuid));
  return xml::write(document.document_element());
}

Result<std::string> without_media(std::string_view xml, std::span<const std::string> targets) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  const auto domain = document.document_element();
  for (const std::string& target : targets) {
    pugi::xml_node drive;
    for (const auto& disk : domain.child("devices").children("disk")) {
      if (target == disk.child("target").attribute("dev").value()) drive = disk;
    }
    if (!drive) return fail(ErrorCode::kInvalidArgument, "The definition has no drive {}.", target);
    for (const char* name : {"source", "backingStore"}) {
      while (const auto medium = drive.child(name)) drive.remove_child(medium);
    }
  }
  return xml::write(domain);
}

}  // namespace drover
