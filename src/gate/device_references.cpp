// SPDX-License-Identifier: Apache-2.0
#include "gate/device_references.h"

#include <algorithm>

#include "model/network_disk.h"

namespace drover::gate {
namespace {

using enum ReferenceKind;
using std::string;
using std::string_view;

constexpr string_view kCharDevices[] = {"serial", "parallel", "console", "channel", "redirdev"};
constexpr string_view kWholeDevices[] = {"filesystem", "shmem", "lease"};

string attribute(const pugi::xml_node& node, const char* name) {
  return node.attribute(name).as_string();
}

// Sockets that libvirt names itself hold the domain's id, which differs between hosts.
bool is_generated_path(string_view path) {
  for (const string_view folder :
       {"/var/lib/libvirt/qemu/channel/", "/run/libvirt/qemu/channel/", "/var/lib/libvirt/qemu/"}) {
    if (!path.starts_with(folder)) continue;
    string_view rest = path.substr(folder.size());
    if (rest.starts_with("target/")) rest.remove_prefix(7);
    const bool named = rest.starts_with("domain-");
    if (named) rest.remove_prefix(7);
    const std::size_t digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits == string_view::npos || rest[digits] != '-') continue;
    return rest.find("..") == string_view::npos && std::ranges::count(rest, '/') == 1;
  }
  return false;
}

// A disk itself, not a layer of one.
bool is_network_disk(const pugi::xml_node& node) {
  return string_view(node.name()) == "disk" && attribute(node, "type") == "network" &&
         node.child("source");
}

Consumed handle_disk(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  // Raw SCSI commands reach past the disk.
  for (const auto& [name, harmless] : {std::pair{"rawio", "no"}, std::pair{"sgio", "filtered"}}) {
    const string value = attribute(node, name);
    if (!value.empty() && value != harmless) {
      found.add(kHostDevice, string(name) + "=" + value, path + "@" + name);
    }
  }
  Consumed done{.attributes = {"rawio", "sgio"}};
  if (is_network_disk(node)) done.children.insert("auth");  // as its source's
  return done;
}

// One reference for each <driver> (or <format>, of a layer): libvirt reads the first.
void judge_disk_use(const pugi::xml_node& source, const string& type, const string& path,
                    ReferenceList& found) {
  const pugi::xml_node owner = source.parent();
  const bool top = string_view(owner.name()) == "disk";
  const bool read_only = owner.child("readonly") || attribute(owner, "device") == "cdrom";
  string use = top ? (read_only ? " ro " : " rw ") : " layer ";
  if (type == "file" || type.empty()) {
    use += attribute(source, "file");
  } else {
    use += type == "block" ? attribute(source, "dev") : canonical_text(source);
  }
  std::size_t formats = 0;
  for (const auto& format : owner.children(top ? "driver" : "format")) {
    const string name = attribute(format, "type");
    found.add(kDiskUse, (name.empty() ? "raw" : name) + use, path);
    ++formats;
  }
  if (formats == 0) found.add(kDiskUse, (top ? "raw" : "none") + use, path);
}

// A user's name and the secret of libvirt's that it goes with, by one name.
bool is_plain_auth(const pugi::xml_node& auth, string_view secret_type) {
  std::size_t secrets = 0;
  for (const auto& child : auth.children()) {
    if (child.type() != pugi::node_element) continue;
    const bool known = std::ranges::all_of(child.attributes(), [](const auto& own) {
      const string_view name = own.name();
      return name == "type" || name == "uuid" || name == "usage";
    });
    if (string_view(child.name()) != "secret" || child.first_child() || !known) return false;
    const string type = attribute(child, "type");
    if (!type.empty() && type != secret_type) return false;
    if (attribute(child, "uuid").empty() == attribute(child, "usage").empty()) return false;
    ++secrets;
  }
  return secrets == 1 && !attribute(auth, "username").empty() &&
         std::ranges::distance(auth.attributes()) == 1;
}

// None, or one that its protocol asks for, within the source or beside it.
bool has_plain_auth(const pugi::xml_node& source) {
  const string_view secret_type = network_disk_secret_type(attribute(source, "protocol"));
  std::size_t users = 0;
  for (const auto& place : {source, source.parent()}) {
    for (const auto& auth : place.children("auth")) {
      if (secret_type.empty() || ++users > 1 || !is_plain_auth(auth, secret_type)) return false;
    }
  }
  return true;
}

bool is_plain_server(const pugi::xml_node& host) {
  return !host.first_child() && std::ranges::all_of(host.attributes(), [](const auto& own) {
    const string_view name = own.name();
    return name == "name" || name == "port" ||
           (name == "transport" && string_view(own.value()) == "tcp");
  });
}

// By each of its servers, with its user. None: it is no plain disk of them.
std::vector<string> network_names(const pugi::xml_node& source) {
  for (const auto& own : source.attributes()) {
    const string_view name = own.name();
    const bool plain = name == "protocol" || name == "name" || name == "index" ||
                       (name == "tls" && string_view(own.value()) == "no");
    if (!plain) return {};
  }
  if (!has_plain_auth(source)) return {};
  const auto within = source.child("auth");
  const auto auth = within ? within : source.parent().child("auth");
  const auto secret = auth.child("secret");
  const string protocol = attribute(source, "protocol");
  std::vector<string> names;
  for (const auto& child : source.children()) {
    if (child.type() != pugi::node_element || string_view(child.name()) == "auth") continue;
    if (string_view(child.name()) != "host" || !is_plain_server(child)) return {};
    string uri = network_disk_uri(protocol, attribute(child, "name"), attribute(child, "port"),
                                  attribute(source, "name"));
    if (uri.empty()) return {};
    names.push_back(network_disk_as_user(std::move(uri), attribute(auth, "username"),
                                         attribute(secret, "uuid"), attribute(secret, "usage")));
  }
  if (names.size() > 1 && !has_several_servers(protocol)) return {};
  return names;
}

// A server is proven for a disk, not for a layer below one (docs/decisions/0007).
Consumed handle_disk_source(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node.parent(), "type");
  judge_disk_use(node, type, path, found);
  if (type == "volume") {
    found.add(kDiskVolume, attribute(node, "pool") + "/" + attribute(node, "volume"), path);
    return {.attributes = {"pool", "volume"}};
  }
  if (is_network_disk(node.parent())) {
    auto names = network_names(node);
    if (names.empty()) names.emplace_back();
    string value = canonical_text(node);
    for (const auto& auth : node.parent().children("auth")) value += " " + canonical_text(auth);
    for (const string& name : names) found.add(kDiskNetwork, value, path, name);
    return {.attributes = {"protocol", "name", "query", "tls", "tlsHostname"},
            .children = {"host", "snapshot", "auth", "initiator", "ssl", "timeout", "readahead",
                         "cookies"}};
  }
  if (type == "file" || type == "block" || type == "dir" || type.empty()) return {};
  found.add(kDiskOther, type + " " + canonical_text(node), path);
  return {.all = true};
}

Consumed handle_interface(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node, "type");
  std::size_t sources = 0;
  string vlans;
  for (const auto& vlan : node.children("vlan")) vlans += " " + canonical_text(vlan);
  for (const auto& forward : node.children("portForward")) {
    found.add(kInterface, canonical_text(forward), path);
  }
  for (const auto& source : node.children("source")) {
    ++sources;
    if (type == "network") {
      const string group = attribute(source, "portgroup");
      found.add(kNetwork, attribute(source, "network") + (group.empty() ? "" : "/" + group) + vlans,
                path);
    } else if (type == "bridge") {
      found.add(kBridge, attribute(source, "bridge") + vlans, path);
    } else {
      found.add(kInterface, type + " " + canonical_text(source), path);
    }
  }
  const bool named = type == "network" || type == "bridge" || type == "null";
  if (sources == 0 && !named) found.add(kInterface, type, path);
  if (sources == 0 && named && type != "null")
    found.add(kUnknown, type + " without a source", path);
  Consumed done{.children = {"source", "vlan", "portForward"}};
  // A name that libvirt gave is given anew at the destination.
  const string tap = attribute(node.child("target"), "dev");
  for (const string_view prefix : {"vnet", "macvtap", "macvlan", "vhostuser"}) {
    if (tap.starts_with(prefix) && tap.size() > prefix.size() &&
        tap.find_first_not_of("0123456789", prefix.size()) == string::npos &&
        std::ranges::distance(node.children("target")) == 1) {
      done.children.insert("target");
    }
  }
  return done;
}

Consumed handle_hostdev(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  string value =
      attribute(node, "mode") + " " + attribute(node, "type") + " " + attribute(node, "model");
  for (const auto& source : node.children("source")) value += " " + canonical_text(source);
  found.add(kHostDevice, value, path);
  Consumed done{.children = {"source"}};
  for (const auto& a : node.attributes()) done.attributes.insert(a.name());
  return done;
}

Consumed handle_audio(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node, "type");
  const bool plain = !node.first_child() && std::ranges::distance(node.attributes()) <= 2;
  found.add(kAudio, plain ? type : canonical_text(node), path);
  return {.all = true};
}

void judge_listen(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node, "type");
  const string socket = attribute(node, "socket");
  if (type == "address") found.add(kGraphicsListen, "address:" + attribute(node, "address"), path);
  if (type == "network") {
    found.add(kGraphicsListen, "network:" + attribute(node, "network"), path);
    // The address that libvirt found for the network at the source; found anew.
  }
  if (type == "socket") {
    found.add(kGraphicsListen,
              socket.empty() || is_generated_path(socket) ? "socket:generated" : "socket:" + socket,
              path);
  }
  if (type != "address" && type != "network" && type != "socket" && type != "none") {
    found.add(kUnknown, canonical_text(node), path);
  }
}

Consumed handle_graphics(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node, "type");
  if (type != "vnc" && type != "spice") {
    found.add(kGraphics, canonical_text(node), path);
    return {.all = true};
  }
  if (const string address = attribute(node, "listen"); !address.empty()) {
    found.add(kGraphicsListen, "address:" + address, path + "@listen");
  }
  if (const string socket = attribute(node, "socket"); !socket.empty()) {
    found.add(kGraphicsListen, is_generated_path(socket) ? "socket:generated" : "socket:" + socket,
              path + "@socket");
  }
  for (const auto& listen : node.children("listen")) judge_listen(listen, path + "/listen", found);
  for (const auto& gl : node.children("gl")) {
    if (attribute(gl, "enable") != "no") found.add(kGraphics, canonical_text(gl), path + "/gl");
  }
  return {.attributes = {"listen", "socket"}, .children = {"listen", "gl"}};
}

// serial, console, …; the random source egd and a TPM or smartcard elsewhere speak through one,
// too.
Consumed handle_character(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string type = attribute(node, "type");
  const bool device = std::ranges::any_of(
      kCharDevices, [&](string_view name) { return path == "devices/" + string(name); });
  const bool backend = (path == "devices/rng/backend" && !type.empty()) ||
                       (path == "devices/tpm/backend" && type == "external") ||
                       path == "devices/smartcard";
  if (!device && !backend) return {};
  string value = type;
  string chosen_path;
  // Of a pty the path is what the source's host happened to give.
  if (type != "pty") {
    for (const auto& source : node.children("source")) {
      const string source_path = attribute(source, "path");
      if (type == "unix" && (source_path.empty() || is_generated_path(source_path))) {
        value += " generated";
      } else {
        value += " " + canonical_text(source);
        chosen_path = source_path;
      }
    }
  }
  found.add(kCharDevice, value, path, chosen_path);
  return {.attributes = {"tty", "type", "bus", "mode"}, .children = {"source"}};
}

}  // namespace

Consumed device_references(const pugi::xml_node& node, const string& path, ReferenceList& found) {
  const string_view name = node.name();
  if (name == "seclabel" || name == "reservations") {
    found.add(name == "seclabel" ? kSecurityLabel : kHostDevice, canonical_text(node), path);
    return {.all = true};
  }
  if (path == "devices/disk/source") return handle_disk_source(node, path, found);
  if (path == "devices/disk") return handle_disk(node, path, found);
  if (path == "devices/interface") return handle_interface(node, path, found);
  if (path == "devices/graphics") return handle_graphics(node, path, found);
  if (path == "devices/hostdev") return handle_hostdev(node, path, found);
  if (path == "devices/audio") return handle_audio(node, path, found);
  if (path == "devices/smartcard" && attribute(node, "mode") != "passthrough") {
    found.add(kHostDevice, canonical_text(node), path);
    return {.all = true};
  }
  if (path == "devices/vsock/cid") {
    const bool automatic = attribute(node, "auto") == "yes";
    found.add(kVsock, automatic ? "auto" : "cid:" + attribute(node, "address"), path);
    return {.all = true};
  }
  if (std::ranges::any_of(
          kWholeDevices, [&](string_view device) { return path == "devices/" + string(device); })) {
    found.add(name == "shmem"        ? kSharedMemory
              : name == "filesystem" ? kFilesystem
                                     : kHostDevice,
              canonical_text(node), path);
    return {.all = true};
  }
  return handle_character(node, path, found);
}

}  // namespace drover::gate
