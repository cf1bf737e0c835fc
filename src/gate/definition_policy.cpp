// SPDX-License-Identifier: Apache-2.0
#include "gate/definition_policy.h"

#include <algorithm>
#include <filesystem>

#include <sys/stat.h>

#include "gate/host_references.h"
#include "gate/migration_calls.h"
#include "model/network_disk.h"

namespace drover::gate {
namespace {

using enum ReferenceKind;
using std::string;
using std::string_view;
namespace fs = std::filesystem;

constexpr std::size_t kViolationsShown = 8;

bool contains(const std::vector<string>& list, string_view word) {
  return std::ranges::find(list, word) != list.end();
}

bool contains_or_any(const std::vector<string>& list, string_view word) {
  return contains(list, "*") || contains(list, word);
}

string first_word(const string& value) { return value.substr(0, value.find_first_of(" /")); }

// Absolute, and spelled in the one way that every program resolves alike.
bool is_plain_path(string_view path) {
  if (!path.starts_with('/') || path.ends_with('/') || path.find("//") != string_view::npos) {
    return false;
  }
  const string framed = string(path) + "/";
  return framed.find("/./") == string::npos && framed.find("/../") == string::npos;
}

// Nothing: allowed. `rule` is the name of the list, for the fix.
string beneath(const string& path, const std::vector<string>& folders, const char* rule,
               const PathChecker& check_path) {
  if (!is_plain_path(path)) return "is not a plain absolute path";
  for (const string& folder : folders) {
    if (!path.starts_with(folder + "/")) continue;
    const Status checked = check_path(path, folder);
    return checked ? "" : checked.error().text();
  }
  return fmt::format("is not beneath one of this host's {}", rule);
}

string listed(bool found, const char* rule) {
  return found ? "" : fmt::format("is not one of this host's {}", rule);
}

string switched(bool on, const char* rule) {
  return on ? "" : fmt::format("is not allowed on this host ({} is off)", rule);
}

string judge_character(const HostReference& reference, const AdministratorRules& rules,
                       const PathChecker& check_path) {
  const string type = first_word(reference.value);
  if (!contains(rules.char_device_types, type)) return listed(false, "char_device_types");
  if (type == "unix" && !reference.path.empty()) {
    return beneath(reference.path, rules.socket_folders, "socket_folders", check_path);
  }
  if (reference.value == type || reference.value == "unix generated") return "";
  // spicevmc, spiceport and the vdagent name a channel of the same QEMU.
  const bool inner = type.starts_with("spice") || type == "qemu-vdagent";
  return inner && reference.path.empty() ? "" : "names something of this host";
}

string judge_listen(const string& value, const AdministratorRules& rules,
                    const PathChecker& check_path) {
  const string rest = value.substr(value.find(':') + 1);
  if (value.starts_with("address:")) {
    return listed(contains_or_any(rules.graphics_addresses, rest), "graphics_addresses");
  }
  if (value.starts_with("network:"))
    return listed(contains_or_any(rules.networks, rest), "networks");
  if (rest == "generated") return "";
  return beneath(rest, rules.socket_folders, "socket_folders", check_path);
}

string judge_interface_device(const string& value, const AdministratorRules& rules) {
  if (value == "/dev/net/tun" || value == "/dev/vhost-net") return "";
  if (value.find('/') != string::npos) return "names a file or device of this host";
  return switched(rules.tap_names, "tap_names");
}

// Nothing: the administrator allows it. Else what is wrong, to follow the reference's name.
string judge(const HostReference& reference, const AdministratorRules& rules,
             const PathChecker& check_path) {
  const string& value = reference.value;
  if (reference.kind == kUnknown) return "is not understood, so it is refused";
  if (reference.kind == kNamespace) return "is never allowed";
  if (contains(rules.exact, fmt::format("{} {}", reference_kind_name(reference.kind), value))) {
    return "";
  }
  switch (reference.kind) {
    case kDiskFile:
      return beneath(value, rules.disk_folders, "disk_folders", check_path);
    case kDiskBlock:
      return listed(contains(rules.block_devices, value), "block_devices");
    case kDiskVolume:
      return listed(contains(rules.volume_pools, first_word(value)), "volume_pools");
    case kDiskNetwork:
      return listed(contains_or_any(rules.network_disks, value) ||
                        admits_network_disk(rules.network_disks, reference.path),
                    "network_disks");
    case kDiskUse:
      return listed(contains(rules.disk_formats, first_word(value)), "disk_formats");
    case kEmulator:
      return listed(contains(rules.emulators, value), "emulators");
    case kFirmware:
      return beneath(value, rules.firmware_folders, "firmware_folders", check_path);
    case kNvram:
      return beneath(value, rules.nvram_folders, "nvram_folders", check_path);
    case kNetwork:
      return listed(contains_or_any(rules.networks, first_word(value)), "networks");
    case kBridge:
      return listed(contains_or_any(rules.bridges, first_word(value)), "bridges");
    case kInterface:
      return value == "user" ? switched(rules.user_network, "user_network")
                             : "is a type of interface that is not allowed";
    case kInterfaceDevice:
      return judge_interface_device(value, rules);
    case kNetworkFilter:
      return switched(rules.network_filters, "network_filters");
    case kCharDevice:
      return judge_character(reference, rules, check_path);
    case kCharLog:
      return beneath(value, rules.log_folders, "log_folders", check_path);
    case kGraphicsListen:
      return judge_listen(value, rules, check_path);
    case kAudio:
      return listed(contains(rules.audio_types, value), "audio_types");
    case kRandomSource:
      return listed(contains(rules.random_sources, value), "random_sources");
    case kHostDevice:
      return switched(rules.host_devices, "host_devices");
    case kFilesystem:
      return switched(rules.filesystems, "filesystems");
    case kSharedMemory:
      return switched(rules.shared_memory, "shared_memory");
    case kMemoryFile:
      return switched(rules.memory_files, "memory_files");
    case kVsock:
      return value == "auto" ? "" : switched(rules.fixed_vsock, "fixed_vsock");
    case kSecret:
      return switched(rules.secrets, "secrets");
    case kSecurityLabel:
      return switched(rules.static_labels, "static_labels");
    case kCgroup:
      return listed(contains(rules.cgroups, value), "cgroups");
    case kLaunchSecurity:
      return switched(rules.launch_security, "launch_security");
    case kDiskOther:
    case kGraphics:
    case kNamespace:
    case kUnknown:
      break;
  }
  return "is not allowed on this host";
}

std::vector<Violation> judge_all(const std::vector<HostReference>& references,
                                 const AdministratorRules& rules, const PathChecker& check_path) {
  std::vector<Violation> violations;
  for (const HostReference& reference : references) {
    string why = judge(reference, rules, check_path);
    if (!why.empty()) violations.push_back({reference, std::move(why)});
  }
  return violations;
}

// libvirt reads the first of several; the gate accepts exactly one.
Result<string> only_text(const pugi::xml_node& domain, const char* name) {
  if (std::ranges::distance(domain.children(name)) != 1) {
    return fail(ErrorCode::kPolicy, "The definition does not have exactly one <{}>.", name);
  }
  return element_text(domain.child(name));
}

Status check_identity(const pugi::xml_node& domain, const Policy& policy) {
  if (string_view(domain.name()) != "domain") {
    return fail(ErrorCode::kPolicy, "The definition is not a <domain>.");
  }
  ASSIGN_OR_RETURN(const string name, only_text(domain, "name"));
  ASSIGN_OR_RETURN(const string uuid_as_text, only_text(domain, "uuid"));
  const auto uuid = parse_uuid(uuid_as_text);
  const auto reserved_uuid = parse_uuid(policy.vm_uuid);
  if (name != policy.vm_name || !uuid || !reserved_uuid || *uuid != *reserved_uuid) {
    return fail(ErrorCode::kPolicy,
                "The definition is of VM '{}' ({}), the reservation of '{}' ({}).", name,
                uuid_as_text, policy.vm_name, policy.vm_uuid);
  }
  return {};
}

}  // namespace

Status any_path(const string&, const string&) { return {}; }

Status no_links_beneath(const string& path, const string& folder) {
  fs::path at = folder;
  for (const auto& part : fs::path(path).lexically_relative(folder)) {
    at /= part;
    struct stat info{};
    if (::lstat(at.c_str(), &info) != 0) {
      // What does not exist yet cannot lead astray; libvirt creates it or fails.
      if (errno == ENOENT) return {};
      return fail_errno(fmt::format("Cannot look at {}", at.string()));
    }
    if (S_ISLNK(info.st_mode)) {
      return fail(ErrorCode::kPolicy, "passes the symbolic link {}", at.string());
    }
  }
  return {};
}

string violations_text(std::span<const Violation> violations) {
  string text;
  for (const Violation& violation :
       violations.first(std::min(violations.size(), kViolationsShown))) {
    if (!text.empty()) text += "; ";
    text += fmt::format("'{}' ({} at {}) {}", violation.reference.value.substr(0, 200),
                        reference_kind_name(violation.reference.kind), violation.reference.xml_path,
                        violation.why);
  }
  if (violations.size() > kViolationsShown) {
    text += fmt::format("; and {} more", violations.size() - kViolationsShown);
  }
  return text;
}

Result<std::vector<Violation>> check_definition(string_view domain_xml,
                                                const AdministratorRules& rules,
                                                const PathChecker& check_path) {
  ASSIGN_OR_RETURN(const auto references, host_references(domain_xml));
  return judge_all(references, rules, check_path);
}

Status reserve_references(Policy& policy, string_view domain_xml) {
  ASSIGN_OR_RETURN(const auto references, host_references(domain_xml));
  for (const HostReference& reference : references) {
    const auto same = [&](const HostReference& known) { return known.same_as(reference); };
    if (std::ranges::none_of(policy.references, same)) policy.references.push_back(reference);
  }
  return {};
}

Status check_domain_element(const pugi::xml_node& domain, const Policy& policy,
                            const PathChecker& check_path) {
  RETURN_IF_ERROR(check_identity(domain, policy));
  const auto references = references_of(domain);
  std::vector<Violation> violations = judge_all(references, policy.rules, check_path);
  for (const HostReference& reference : references) {
    const auto same = [&](const HostReference& reserved) { return reserved.same_as(reference); };
    if (std::ranges::none_of(policy.references, same)) {
      violations.push_back({reference, "is not in the reservation"});
    }
  }
  if (violations.empty()) return {};
  return fail(ErrorCode::kPolicy, "The definition names what this host does not allow: {}.",
              violations_text(violations));
}

Status check_domain(string_view domain_xml, const Policy& policy, const PathChecker& check_path) {
  ASSIGN_OR_RETURN(const pugi::xml_document document, parse_strictly(domain_xml));
  return check_domain_element(document.document_element(), policy, check_path);
}

}  // namespace drover::gate
