// SPDX-License-Identifier: Apache-2.0
// Pictures of a running VM's disks: libvirt's backup job of the kind "pull". libvirt's exports do
// not tell layers apart, so such a disk gets another one from QEMU itself, which ends with the
// server.
#include <algorithm>
#include <chrono>
#include <optional>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "base/deadline.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/libvirt/libvirt.h"
#include "hypervisor/libvirt/monitor.h"

namespace drover::libvirt {
namespace {

using namespace std::chrono_literals;

using Json = nlohmann::json;

constexpr const char* kPurpose = "serve the layers of a disk";
constexpr auto kEndLimit = 30s;                     // QEMU ends one block job for each disk
constexpr auto kLookLeast = 2ms, kLookMost = 50ms;  // most have ended at once

std::string backup_xml(const PictureCall& call) {
  pugi::xml_document document;
  auto backup = document.append_child("domainbackup");
  backup.append_attribute("mode") = "pull";
  auto server = backup.append_child("server");
  server.append_attribute("transport") = "unix";
  server.append_attribute("socket") = call.socket.c_str();
  auto disks = backup.append_child("disks");
  for (const PictureDisk& one : call.disks) {
    auto disk = disks.append_child("disk");
    disk.append_attribute("name") = one.target.c_str();
    disk.append_attribute("backup") = "yes";
    disk.append_attribute("type") = "file";
    disk.append_attribute("exportname") = one.target.c_str();
    disk.append_child("driver").append_attribute("type") = "qcow2";
    disk.append_child("scratch").append_attribute("file") = one.scratch.c_str();
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return text.str();
}

// The node of the scratch image's format: libvirt names it as it names the file's.
std::string node_of(const Json& nodes, const std::string& scratch) {
  constexpr std::string_view kStorage = "-storage", kFormat = "-format";
  if (!nodes.is_array()) return {};
  for (const Json& node : nodes) {
    std::string name = text_of(node, "node-name");
    if (text_of(node, "file") != scratch || !name.ends_with(kStorage)) continue;
    name.replace(name.size() - kStorage.size(), kStorage.size(), kFormat);
    if (std::ranges::any_of(nodes, [&](const Json& one) {
          return text_of(one, "node-name") == name && text_of(one, "drv") == "qcow2";
        })) {
      return name;
    }
  }
  return {};
}

Status serve_layers(virDomainPtr domain, const PictureDisk& disk) {
  ASSIGN_OR_RETURN(
      const Json nodes,
      ask_monitor(domain, {{"execute", "query-named-block-nodes"}, {"arguments", {{"flat", true}}}},
                  kPurpose));
  const std::string node = node_of(nodes, disk.scratch);
  if (node.empty())
    return fail(ErrorCode::kHypervisor, "QEMU does not name the picture of {}.", disk.target);
  const std::string name = layers_export(disk.target);
  const auto served = ask_monitor(domain,
                                  {{"execute", "block-export-add"},
                                   {"arguments",
                                    {{"type", "nbd"},
                                     {"id", "drover-" + name},
                                     {"node-name", node},
                                     {"name", name},
                                     {"writable", false},
                                     {"allocation-depth", true}}}},
                                  kPurpose);
  return served ? Status{} : std::unexpected(served.error());
}

// Where the backup that goes on serves; nothing: there is none, or the VM does not run.
Result<std::optional<std::string>> socket_of_backup(virDomainPtr domain) {
  const Text xml(virDomainBackupGetXMLDesc(domain, 0));
  if (!xml) {
    const int code = last_error_code();
    if (code == VIR_ERR_NO_DOMAIN_BACKUP || code == VIR_ERR_OPERATION_INVALID ||
        code == VIR_ERR_NO_DOMAIN) {
      return std::nullopt;
    }
    return fail_libvirt("Cannot see whether the VM's disks are being backed up");
  }
  pugi::xml_document document;
  if (!document.load_string(xml.get()))
    return fail(ErrorCode::kHypervisor, "libvirt describes a backup in an unknown way.");
  return std::string(
      document.child("domainbackup").child("server").attribute("socket").as_string());
}

// A connection for each call: they are rare, and none waits for the connection of all others.
class LibvirtPictures final : public DiskPictures {
 public:
  explicit LibvirtPictures(LibvirtOptions options) : uri_(std::move(options.uri)) {}
  Status begin(const PictureCall& call) override;
  Status end(std::string_view uuid, const std::string& socket) override;

 private:
  struct Found {
    ConnectHandle connection;
    DomainHandle domain;
    virDomainPtr get() const { return domain.get(); }
  };
  Result<Found> find(std::string_view uuid) const;

  const std::string uri_;
};

Result<LibvirtPictures::Found> LibvirtPictures::find(std::string_view uuid) const {
  ASSIGN_OR_RETURN(ConnectHandle connection, open_once(uri_));
  ASSIGN_OR_RETURN(DomainHandle domain, look_up(connection.get(), uuid));
  return Found{std::move(connection), std::move(domain)};
}

// Disks that are not named are left out: libvirt takes them all only if none is named.
Status LibvirtPictures::begin(const PictureCall& call) {
  ASSIGN_OR_RETURN(const auto found, find(call.uuid));
  if (virDomainIsActive(found.get()) != 1)
    return fail(ErrorCode::kConflict, "The VM {} does not run.", call.uuid);
  if (virDomainBackupBegin(found.get(), backup_xml(call).c_str(), nullptr,
                           VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) != 0) {
    return fail_libvirt("Cannot take a picture of the disks");
  }
  for (const PictureDisk& disk : call.disks) {
    if (disk.layered) RETURN_IF_ERROR(serve_layers(found.get(), disk));
  }
  return {};
}

Status LibvirtPictures::end(std::string_view uuid, const std::string& socket) {
  const auto found = find(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound) return {};
  if (!found) return std::unexpected(found.error());
  const Deadline limit = Deadline::after(kEndLimit);
  bool told = false;
  for (std::chrono::milliseconds look = kLookLeast;;
       look = std::min<std::chrono::milliseconds>(look * 2, kLookMost)) {
    ASSIGN_OR_RETURN(const auto there, socket_of_backup(found->get()));
    if (!there || *there != socket) return {};
    // It is asked once: the job may be gone by the time a second word arrives, and another's may
    // have begun.
    if (!told && virDomainAbortJob(found->get()) != 0)
      return fail_libvirt("Cannot end the picture of the disks");
    told = true;
    if (limit.expired())
      return fail(ErrorCode::kTimeout, "QEMU does not end the picture of the disks of {}.", uuid);
    std::this_thread::sleep_for(look);
  }
}

}  // namespace

std::unique_ptr<DiskPictures> make_pictures(LibvirtOptions options) {
  return std::make_unique<LibvirtPictures>(std::move(options));
}

}  // namespace drover::libvirt
