// SPDX-License-Identifier: Apache-2.0
// host_references of gate/definition_policy.h: a walk over the whole definition. What is neither in
// the tables nor harmless by name becomes a reference of kind unknown, so that a device of a later
// libvirt is refused rather than overlooked.
#include "gate/host_references.h"

#include <algorithm>
#include <set>

#include "gate/reference_tables.h"

namespace drover::gate {
namespace {

using enum ReferenceKind;
using std::string;
using std::string_view;

constexpr string_view kCharDevices[] = {"serial", "parallel", "console", "channel", "redirdev"};
constexpr string_view kWholeDevices[] = {"filesystem", "shmem", "lease"};
constexpr string_view kLayers[] = {"backingStore", "mirror", "dataStore"};

template <typename List>
bool contains(const List& list, string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

string attribute(const pugi::xml_node& node, const char* name) {
  return node.attribute(name).as_string();
}

bool looks_like_path(string_view value) {
  return value.starts_with('/') || value.find("../") != string_view::npos;
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

class Walker {
 public:
  std::vector<HostReference> take() { return std::move(found_); }

  void walk_domain(const pugi::xml_node& domain) {
    for (const auto& a : domain.attributes()) {
      const string_view name = a.name();
      if (name != "type" && name != "id") add(kNamespace, string(name), "@" + string(name));
    }
    for (const auto& child : domain.children()) visit(child, "");
  }

 private:
  // What a handler has dealt with; the general rules leave it alone.
  struct Consumed {
    bool all = false;
    std::set<string_view> attributes{};
    std::set<string_view> children{};
    bool text = false;
  };

  void add(ReferenceKind kind, string value, string xml_path, string path = "") {
    found_.push_back({kind, std::move(value), std::move(xml_path), std::move(path)});
  }

  void visit(const pugi::xml_node& node, const string& parent) {
    if (node.type() != pugi::node_element) return;
    const string_view name = node.name();
    const bool below_disk = parent.starts_with("devices/disk");
    const string path = below_disk && contains(kLayers, name) ? parent
                        : parent.empty()                      ? string(name)
                                                              : parent + "/" + string(name);
    const bool device = parent.starts_with("devices");
    if (path == "metadata" || path == "title" || path == "description" || path == "name") return;
    if (name.find(':') != string_view::npos) return add(kNamespace, canonical_text(node), path);
    if (device ? !is_harmless_device_element(name) : !is_known_element(path)) {
      return add(kUnknown, canonical_text(node), path);
    }
    const Consumed done = device ? handle_device(node, path) : handle_other(node, path);
    if (done.all) return;
    for (const auto& a : node.attributes()) {
      if (!done.attributes.contains(a.name())) judge_attribute(a, path, device);
    }
    if (!done.text) judge_text(element_text(node), path + "#");
    for (const auto& child : node.children()) {
      if (!done.children.contains(child.name())) visit(child, path);
    }
  }

  void judge_attribute(const pugi::xml_attribute& a, const string& path, bool device) {
    const string_view name = a.name();
    const string value = a.value();
    const string place = path + "@" + string(name);
    if (name == "xmlns" || name.find(':') != string_view::npos)
      return add(kNamespace, value, place);
    if (const auto kind = simple_reference(place)) return add(*kind, value, place);
    if (is_harmless_place(place)) return;
    const bool harmless =
        device ? is_harmless_device_attribute(name) : !is_suspicious_attribute(name);
    if (!harmless || looks_like_path(value)) add(kUnknown, value, place);
  }

  void judge_text(const string& text, const string& place) {
    if (text.empty()) return;
    if (const auto kind = simple_reference(place)) return add(*kind, text, place);
    if (!is_harmless_place(place) && looks_like_path(text)) add(kUnknown, text, place);
  }

  Consumed handle_other(const pugi::xml_node& node, const string& path) {
    if (path == "launchSecurity") {
      add(kLaunchSecurity, canonical_text(node), path);
      return {.all = true};
    }
    if (path == "seclabel") {
      judge_domain_label(node);
      return {.all = true};
    }
    if (path == "memoryBacking/source" && attribute(node, "type") == "file") {
      add(kMemoryFile, "file", path);
    }
    return {};
  }

  void judge_domain_label(const pugi::xml_node& node) {
    const string type = attribute(node, "type");
    const string model = attribute(node, "model");
    const bool dynamic = (type.empty() || type == "dynamic") && !node.child("baselabel") &&
                         attribute(node, "relabel") != "no";
    if (dynamic || model == "none") return;
    add(kSecurityLabel, canonical_text(node), "seclabel");
  }

  Consumed handle_device(const pugi::xml_node& node, const string& path) {
    const string_view name = node.name();
    if (name == "seclabel" || name == "reservations") {
      add(name == "seclabel" ? kSecurityLabel : kHostDevice, canonical_text(node), path);
      return {.all = true};
    }
    if (path == "devices/disk/source") return handle_disk_source(node, path);
    if (path == "devices/disk") return handle_disk(node, path);
    if (path == "devices/interface") return handle_interface(node, path);
    if (path == "devices/graphics") return handle_graphics(node, path);
    if (path == "devices/hostdev") return handle_hostdev(node, path);
    if (path == "devices/audio") return handle_audio(node, path);
    if (path == "devices/smartcard" && attribute(node, "mode") != "passthrough") {
      add(kHostDevice, canonical_text(node), path);
      return {.all = true};
    }
    if (path == "devices/vsock/cid") {
      const bool automatic = attribute(node, "auto") == "yes";
      add(kVsock, automatic ? "auto" : "cid:" + attribute(node, "address"), path);
      return {.all = true};
    }
    if (std::ranges::any_of(kWholeDevices, [&](string_view device) {
          return path == "devices/" + string(device);
        })) {
      add(name == "shmem"        ? kSharedMemory
          : name == "filesystem" ? kFilesystem
                                 : kHostDevice,
          canonical_text(node), path);
      return {.all = true};
    }
    return handle_character(node, path);
  }

  Consumed handle_disk(const pugi::xml_node& node, const string& path) {
    // Raw SCSI commands reach past the disk.
    for (const auto& [name, harmless] : {std::pair{"rawio", "no"}, std::pair{"sgio", "filtered"}}) {
      const string value = attribute(node, name);
      if (!value.empty() && value != harmless) {
        add(kHostDevice, string(name) + "=" + value, path + "@" + name);
      }
    }
    return {.attributes = {"rawio", "sgio"}};
  }

  Consumed handle_disk_source(const pugi::xml_node& node, const string& path) {
    const string type = attribute(node.parent(), "type");
    if (type == "volume") {
      add(kDiskVolume, attribute(node, "pool") + "/" + attribute(node, "volume"), path);
      return {.attributes = {"pool", "volume"}};
    }
    if (type == "network") {
      add(kDiskNetwork, canonical_text(node), path);
      return {.attributes = {"protocol", "name", "query", "tls", "tlsHostname"},
              .children = {"host", "snapshot", "auth", "initiator", "ssl", "timeout", "readahead",
                           "cookies"}};
    }
    if (type == "file" || type == "block" || type == "dir" || type.empty()) return {};
    add(kDiskOther, type + " " + canonical_text(node), path);
    return {.all = true};
  }

  Consumed handle_interface(const pugi::xml_node& node, const string& path) {
    const string type = attribute(node, "type");
    std::size_t sources = 0;
    for (const auto& source : node.children("source")) {
      ++sources;
      if (type == "network") {
        const string group = attribute(source, "portgroup");
        add(kNetwork, attribute(source, "network") + (group.empty() ? "" : "/" + group), path);
      } else if (type == "bridge") {
        add(kBridge, attribute(source, "bridge"), path);
      } else {
        add(kInterface, type + " " + canonical_text(source), path);
      }
    }
    const bool named = type == "network" || type == "bridge" || type == "null";
    if (sources == 0 && !named) add(kInterface, type, path);
    if (sources == 0 && named && type != "null") add(kUnknown, type + " without a source", path);
    Consumed done{.children = {"source"}};
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

  Consumed handle_hostdev(const pugi::xml_node& node, const string& path) {
    string value =
        attribute(node, "mode") + " " + attribute(node, "type") + " " + attribute(node, "model");
    for (const auto& source : node.children("source")) value += " " + canonical_text(source);
    add(kHostDevice, value, path);
    Consumed done{.children = {"source"}};
    for (const auto& a : node.attributes()) done.attributes.insert(a.name());
    return done;
  }

  Consumed handle_audio(const pugi::xml_node& node, const string& path) {
    const string type = attribute(node, "type");
    const bool plain = !node.first_child() && std::ranges::distance(node.attributes()) <= 2;
    add(kAudio, plain ? type : canonical_text(node), path);
    return {.all = true};
  }

  void judge_listen(const pugi::xml_node& node, const string& path) {
    const string type = attribute(node, "type");
    const string socket = attribute(node, "socket");
    if (type == "address") add(kGraphicsListen, "address:" + attribute(node, "address"), path);
    if (type == "network") {
      add(kGraphicsListen, "network:" + attribute(node, "network"), path);
      // The address that libvirt found for the network at the source; found anew.
    }
    if (type == "socket") {
      add(kGraphicsListen,
          socket.empty() || is_generated_path(socket) ? "socket:generated" : "socket:" + socket,
          path);
    }
    if (type != "address" && type != "network" && type != "socket" && type != "none") {
      add(kUnknown, canonical_text(node), path);
    }
  }

  Consumed handle_graphics(const pugi::xml_node& node, const string& path) {
    const string type = attribute(node, "type");
    if (type != "vnc" && type != "spice") {
      add(kGraphics, canonical_text(node), path);
      return {.all = true};
    }
    if (const string address = attribute(node, "listen"); !address.empty()) {
      add(kGraphicsListen, "address:" + address, path + "@listen");
    }
    if (const string socket = attribute(node, "socket"); !socket.empty()) {
      add(kGraphicsListen, is_generated_path(socket) ? "socket:generated" : "socket:" + socket,
          path + "@socket");
    }
    for (const auto& listen : node.children("listen")) judge_listen(listen, path + "/listen");
    return {.attributes = {"listen", "socket"}, .children = {"listen"}};
  }

  // serial, console, …; the random source egd and a TPM or smartcard elsewhere speak through one,
  // too.
  Consumed handle_character(const pugi::xml_node& node, const string& path) {
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
    add(kCharDevice, value, path, chosen_path);
    return {.attributes = {"tty", "type", "bus", "mode"}, .children = {"source"}};
  }

  std::vector<HostReference> found_;
};

}  // namespace

std::vector<HostReference> references_of(const pugi::xml_node& domain) {
  Walker walker;
  walker.walk_domain(domain);
  return walker.take();
}

Result<std::vector<HostReference>> host_references(string_view domain_xml) {
  ASSIGN_OR_RETURN(const pugi::xml_document document, parse_strictly(domain_xml));
  if (string_view(document.document_element().name()) != "domain") {
    return fail(ErrorCode::kProtocol, "The XML is refused: it is not a <domain>.");
  }
  return references_of(document.document_element());
}

}  // namespace drover::gate
