// SPDX-License-Identifier: Apache-2.0
// What a destination lets a migrated definition refer to: docs/gate.md, "Definition policy".
// droverd uses it on the plan, the destination's gate on PREPARE and FINISH. Any thread; values.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover::gate {

// Every way a domain XML can name something of the host. The text forms are in reference_kind_name.
enum class ReferenceKind {
  kDiskFile,
  kDiskBlock,
  kDiskVolume,   // "POOL/VOLUME"
  kDiskNetwork,  // canonical text of <source>, then of an <auth> beside it
  kDiskOther,    // directories, vhost-user, NVMe, ...
  kDiskUse,      // "FORMAT rw|ro|layer SOURCE": raw content must not be read as qcow2, nor a base
                 // written
  kEmulator,
  kFirmware,   // loader, templates, option ROMs, kernel, initrd, device tree, ACPI tables, fw_cfg
               // files
  kNvram,      // files that QEMU writes: variables, TPM state, pstore
  kNetwork,    // "NAME" or "NAME/PORTGROUP", then its VLANs
  kBridge,     // name, then its VLANs
  kInterface,  // every other type of interface: canonical text
  kInterfaceDevice,  // tap name, vhost device, script, ...
  kNetworkFilter,
  kCharDevice,  // "pty", "unix:bind:/path", "tcp:...": type, then canonical text of its source
  kCharLog,
  kGraphicsListen,  // "address:IP", "socket:PATH", "network:NAME"
  kGraphics,        // types other than vnc and spice, and host devices for them
  kAudio,
  kRandomSource,
  kHostDevice,  // hostdev, passthrough of TPM, input, smartcard, block devices for tuning
  kFilesystem,
  kSharedMemory,
  kMemoryFile,  // file-backed memory, NVDIMM
  kVsock,       // "auto" or "cid:N"
  kSecret,
  kSecurityLabel,
  kCgroup,
  kLaunchSecurity,
  kNamespace,  // qemu:commandline and every other XML namespace outside <metadata>
  kUnknown,    // visible to the host as far as can be told, and not understood: always refused
};
std::string_view reference_kind_name(ReferenceKind kind);

struct HostReference {
  ReferenceKind kind = ReferenceKind::kUnknown;
  std::string value;
  std::string xml_path;  // where it stands: "devices/disk/source@file"; not part of its identity
  std::string path;      // of kCharDevice: the socket's, when it is a path that was chosen; of
                         // kDiskNetwork: its name (model/network_disk.h), if it has one

  bool same_as(const HostReference& other) const {
    return kind == other.kind && value == other.value;
  }
};

// What this host's administrator allows. Empty lists allow nothing.
struct AdministratorRules {
  std::vector<std::string> disk_folders = {"/var/lib/libvirt/images"};
  std::vector<std::string> block_devices;  // exact paths
  std::vector<std::string> volume_pools;   // names of storage pools
  std::vector<std::string> network_disks;  // canonical texts, rules of model/network_disk.h, or "*"
  std::vector<std::string> disk_formats = {"raw", "qcow2"};
  std::vector<std::string> emulators = {"/usr/bin/qemu-system-x86_64", "/usr/bin/kvm",
                                        "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm"};
  std::vector<std::string> firmware_folders = {
      "/usr/share/OVMF",    "/usr/share/ovmf", "/usr/share/AAVMF",   "/usr/share/edk2",
      "/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu", "/usr/share/qemu-efi-aarch64"};
  std::vector<std::string> nvram_folders = {"/var/lib/libvirt/qemu/nvram"};
  std::vector<std::string> networks;  // libvirt networks, or "*"
  std::vector<std::string> bridges;   // host bridges, or "*"
  std::vector<std::string> char_device_types = {"pty",          "null",      "vc",  "spicevmc",
                                                "qemu-vdagent", "spiceport", "unix"};
  std::vector<std::string> socket_folders = {"/var/lib/libvirt", "/run/libvirt"};
  std::vector<std::string> log_folders;  // of character devices
  std::vector<std::string> graphics_addresses = {"127.0.0.1", "::1", "0.0.0.0", "::", "localhost"};
  std::vector<std::string> audio_types = {"none", "spice"};
  std::vector<std::string> random_sources = {"/dev/urandom", "/dev/random"};
  std::vector<std::string> cgroups = {"/machine"};
  std::vector<std::string> exact;  // "KIND VALUE": allowed as it is, whatever the rules above say
  bool user_network = false;       // QEMU's own NAT reaches services on the host's loopback
  bool tap_names = false;          // interfaces that name their tap device
  bool network_filters = true;
  bool host_devices = false;
  bool filesystems = false;
  bool shared_memory = false;
  bool memory_files = false;  // file-backed memory below libvirt's own folder
  bool fixed_vsock = true;
  bool secrets = false;
  bool static_labels = false;  // security labels other than libvirt's dynamic ones
  bool launch_security = false;
};

struct Violation {
  HostReference reference;
  std::string why;  // a sentence
};
// "'/etc/shadow' (disk_file at devices/disk/source@file) is not in an allowed folder; ..."
std::string violations_text(std::span<const Violation> violations);

// Looks at the host's file system: an error when `path`, which lies beneath `folder`, passes a
// symbolic link on its way. no_links_beneath is the real one; tests and plans made elsewhere pass
// any_path.
using PathChecker = std::function<Status(const std::string& path, const std::string& folder)>;
Status no_links_beneath(const std::string& path, const std::string& folder);
Status any_path(const std::string& path, const std::string& folder);

// Every reference to the host in a <domain>. kProtocol: not XML, or XML that another parser could
// read differently (doctype, comments, CDATA, declarations).
Result<std::vector<HostReference>> host_references(std::string_view domain_xml);

// What the administrator's rules have against the definition; empty: nothing.
Result<std::vector<Violation>> check_definition(std::string_view domain_xml,
                                                const AdministratorRules& rules,
                                                const PathChecker& check_path);

// What the destination reserved for one move; the `policy` member of the gate's start message.
struct Policy {
  std::string host;  // this destination's name, for messages
  std::string vm_name;
  std::string vm_uuid;
  std::string memory_uri;  // "unix:///run/libvirt/drover/…"; migrate_uri must equal it
  std::string disks_uri;   // empty: no disk is copied
  std::vector<std::string> disk_targets;  // that may be copied
  std::vector<HostReference> references;  // the reservation; xml_path is not kept
  AdministratorRules rules;
};

// Adds what `domain_xml` refers to: call it for the live definition of the plan and for the
// persistent one.
Status reserve_references(Policy& policy, std::string_view domain_xml);

// Name, UUID, and each reference: in the reservation and allowed by the rules. kPolicy lists all
// that is wrong.
Status check_domain(std::string_view domain_xml, const Policy& policy,
                    const PathChecker& check_path);

std::string policy_text(const Policy& policy);  // JSON
Result<Policy> parse_policy(std::string_view text);
std::string rules_text(const AdministratorRules& rules);
// Members that are absent keep their default, unknown members are refused.
Result<AdministratorRules> parse_rules(std::string_view text);

}  // namespace drover::gate
