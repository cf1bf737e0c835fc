// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_xml.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <utility>

#include "hypervisor/vm_labels.h"
#include "hypervisor/xml_tree.h"
#include "model/network_disk.h"

namespace drover {
namespace {

std::string attribute(const pugi::xml_node& node, const char* name) {
  return node.attribute(name).value();
}
std::string text(const pugi::xml_node& node) { return node.text().get(); }

// libvirt's scaled integers: KiB unless the unit says otherwise.
ByteCount scaled(const pugi::xml_node& node, std::uint64_t value) {
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 17> kUnits{
      {{"", 1u << 10},
       {"b", 1},
       {"bytes", 1},
       {"KB", 1'000},
       {"k", 1u << 10},
       {"KiB", 1u << 10},
       {"MB", 1'000'000},
       {"M", 1u << 20},
       {"MiB", 1u << 20},
       {"GB", 1'000'000'000},
       {"G", 1u << 30},
       {"GiB", 1u << 30},
       {"TB", 1'000'000'000'000},
       {"T", 1ull << 40},
       {"TiB", 1ull << 40},
       {"P", 1ull << 50},
       {"PiB", 1ull << 50}}};
  const std::string unit = attribute(node, "unit");
  const auto* known = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const auto& entry) { return entry.first == unit; });
  const std::uint64_t factor = known == kUnits.end() ? 1u << 10 : known->second;
  if (value > std::numeric_limits<std::uint64_t>::max() / factor)
    return {std::numeric_limits<std::uint64_t>::max()};
  return {value * factor};
}

ByteCount scaled(const pugi::xml_node& node) { return scaled(node, node.text().as_ullong()); }

bool has_shared_memory(const pugi::xml_node& domain) {
  const auto backing = domain.child("memoryBacking");
  const std::string source = attribute(backing.child("source"), "type");
  bool shared = source == "memfd" || source == "file" ||
                attribute(backing.child("access"), "mode") == "shared";
  for (const auto& cell : domain.child("cpu").child("numa").children("cell"))
    shared |= attribute(cell, "memAccess") == "shared";
  return shared;
}

void read_pinning(const pugi::xml_node& domain, DomainFacts& facts) {
  const auto add = [](std::vector<std::string>& list, const std::string& set) {
    if (!set.empty() && std::find(list.begin(), list.end(), set) == list.end()) list.push_back(set);
  };
  const auto numa = domain.child("numatune");
  for (const char* name : {"memory", "memnode"}) {
    for (const auto& element : numa.children(name))
      add(facts.numa_nodes, attribute(element, "nodeset"));
  }
  add(facts.cpu_sets, attribute(domain.child("vcpu"), "cpuset"));
  for (const char* name : {"vcpupin", "emulatorpin", "iothreadpin"}) {
    for (const auto& element : domain.child("cputune").children(name))
      add(facts.cpu_sets, attribute(element, "cpuset"));
  }
}

std::string lower_case(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return value;
}

DiskKind disk_kind(const std::string& type) {
  if (type == "file") return DiskKind::kFile;
  if (type == "block") return DiskKind::kBlock;
  if (type == "volume") return DiskKind::kVolume;
  if (type == "network") return DiskKind::kNetwork;
  return DiskKind::kOther;
}

DiskDevice disk_device(const std::string& device) {
  if (device == "cdrom") return DiskDevice::kCdrom;
  if (device == "floppy") return DiskDevice::kFloppy;
  if (device == "lun") return DiskDevice::kLun;
  return DiskDevice::kDisk;
}

std::string local_path(const pugi::xml_node& source) {
  const std::string file = attribute(source, "file");
  return file.empty() ? attribute(source, "dev") : file;
}

void read_secrets(const pugi::xml_node& element, std::vector<std::string>& secrets) {
  for (const auto& found : element.select_nodes(".//secret")) {
    const std::string uuid = attribute(found.node(), "uuid");
    secrets.push_back(uuid.empty() ? attribute(found.node(), "usage") : uuid);
  }
}

// libvirt takes it in either place, but not in both.
pugi::xml_node auth_of(const pugi::xml_node& source) {
  const auto own = source.child("auth");
  return own ? own : source.parent().child("auth");
}

NetworkSource read_network(const pugi::xml_node& source) {
  const auto host = source.child("host");
  NetworkSource read{attribute(source, "protocol"), attribute(host, "name"),
                     attribute(host, "port"), attribute(source, "name")};
  for (auto next = host.next_sibling("host"); next; next = next.next_sibling("host"))
    read.further.push_back({attribute(next, "name"), attribute(next, "port")});
  const auto auth = auth_of(source);
  const auto secret = auth.child("secret");
  read.user = attribute(auth, "username");
  read.secret = {attribute(secret, "uuid"), std::string(network_disk_secret_type(read.protocol)),
                 attribute(secret, "usage")};
  return read;
}

// Nobody, or one user with one secret, which is named in one way.
bool is_plain_auth(const pugi::xml_node& source) {
  std::size_t users = 0;
  for (const auto& place : {source, source.parent()})
    users += static_cast<std::size_t>(std::ranges::distance(place.children("auth")));
  if (users == 0) return true;
  const auto auth = auth_of(source);
  const auto secret = auth.child("secret");
  const std::string_view type = network_disk_secret_type(attribute(source, "protocol"));
  const std::string said = attribute(secret, "type");
  return users == 1 && !type.empty() && !attribute(auth, "username").empty() &&
         std::ranges::distance(auth.children("secret")) == 1 && (said.empty() || said == type) &&
         attribute(secret, "uuid").empty() != attribute(secret, "usage").empty();
}

bool is_plain_network(const pugi::xml_node& source) {
  const auto is_plain = [](const pugi::xml_node& child) {
    if (child.type() != pugi::node_element) return true;
    const std::string transport = attribute(child, "transport");
    return std::string_view(child.name()) == "auth" ||
           (std::string_view(child.name()) == "host" && (transport.empty() || transport == "tcp"));
  };
  const std::string tls = attribute(source, "tls");
  return source.child("host") && std::ranges::all_of(source.children(), is_plain) &&
         (tls.empty() || tls == "no") && is_plain_auth(source) &&
         !source.parent().child("backingStore").child("source");
}

DiskFacts read_disk(const pugi::xml_node& element) {
  DiskFacts facts;
  const auto source = element.child("source");
  facts.disk.target = attribute(element.child("target"), "dev");
  facts.alias = attribute(element.child("alias"), "name");
  facts.disk.kind = disk_kind(attribute(element, "type"));
  facts.disk.device = disk_device(attribute(element, "device"));
  facts.disk.path = local_path(source);
  facts.disk.format = attribute(element.child("driver"), "type");
  if (facts.disk.format.empty()) facts.disk.format = "raw";
  facts.disk.read_only = element.child("readonly") || facts.disk.device == DiskDevice::kCdrom;
  facts.disk.shareable = static_cast<bool>(element.child("shareable"));
  // The chain ends with an empty <backingStore/>; the depth limit of the tree bounds it.
  for (auto below = element.child("backingStore"); below; below = below.child("backingStore")) {
    const std::string path = local_path(below.child("source"));
    if (!path.empty()) facts.disk.backing_chain.push_back(path);
  }
  for (const auto& below : element.select_nodes(".//source | .//mirror")) {
    const std::string path = local_path(below.node());
    if (!path.empty()) facts.files.push_back(path);
  }
  facts.network = read_network(source);
  facts.network_plain = is_plain_network(source);
  facts.pool = attribute(source, "pool");
  facts.volume = attribute(source, "volume");
  facts.cache = attribute(element.child("driver"), "cache");
  facts.job = attribute(element.child("mirror"), "job");
  if (const auto mirror = element.child("mirror")) {
    if (facts.job.empty()) facts.job = "copy";
    facts.job_path = local_path(mirror.child("source"));
    if (facts.job_path.empty()) facts.job_path = attribute(mirror, "file");
    facts.job_ready = attribute(mirror, "ready");
  }
  facts.encrypted = element.child("encryption") || source.child("encryption");
  facts.transient = static_cast<bool>(element.child("transient"));
  facts.data_file = static_cast<bool>(source.child("dataStore"));
  if (const auto slice = source.child("slices").child("slice")) {
    facts.slice = {slice.attribute("size").as_ullong()};
    facts.slice_within = slice.attribute("offset").as_ullong() != 0;
  }
  return facts;
}

InterfaceFacts read_interface(const pugi::xml_node& element) {
  const auto source = element.child("source");
  InterfaceFacts facts;
  facts.mac = attribute(element.child("mac"), "address");
  facts.type = attribute(element, "type");
  for (const char* name : {"network", "bridge", "dev", "name", "path"}) {
    // A live interface of a network names both the network and the bridge it got; the network is
    // what was asked for.
    if (facts.source.empty()) facts.source = attribute(source, name);
  }
  facts.port_type = attribute(element.child("virtualport"), "type");
  facts.teamed = static_cast<bool>(element.child("teaming"));
  return facts;
}

GraphicsFacts read_graphics(const pugi::xml_node& element) {
  GraphicsFacts facts;
  facts.type = attribute(element, "type");
  const auto add = [&](const std::string& address) {
    if (address.empty()) return;
    if (std::find(facts.addresses.begin(), facts.addresses.end(), address) ==
        facts.addresses.end()) {
      facts.addresses.push_back(address);
    }
  };
  for (const auto& listen : element.children("listen")) {
    if (attribute(listen, "type") == "network")
      facts.network = attribute(listen, "network");
    else
      add(attribute(listen, "address"));
  }
  if (facts.network.empty()) add(attribute(element, "listen"));
  return facts;
}

HostDeviceFacts read_host_device(const pugi::xml_node& element) {
  HostDeviceFacts facts;
  facts.type = attribute(element, "type");
  const auto source = element.child("source");
  const auto address = source.child("address");
  if (facts.type == "pci") {
    const auto part = [&](const char* name) {
      std::string value = attribute(address, name);
      return value.starts_with("0x") ? value.substr(2) : value;
    };
    facts.label =
        "pci " + part("domain") + ":" + part("bus") + ":" + part("slot") + "." + part("function");
  } else if (facts.type == "usb" && source.child("vendor")) {
    facts.label = "usb " + attribute(source.child("vendor"), "id") + ":" +
                  attribute(source.child("product"), "id");
  } else if (facts.type == "mdev") {
    facts.label = "mdev " + attribute(address, "uuid");
  } else {
    facts.label = facts.type.empty() ? attribute(element, "mode") : facts.type;
  }
  facts.teamed = static_cast<bool>(element.child("teaming"));
  return facts;
}

void read_firmware(const pugi::xml_node& os, DomainFacts& facts) {
  const auto nvram = os.child("nvram");
  facts.loader = text(os.child("loader"));
  facts.nvram_template = attribute(nvram, "template");
  facts.vm.nvram_path = text(nvram);
  if (nvram.child("source")) facts.vm.nvram_path = attribute(nvram.child("source"), "file");
  // White space around an element's text is layout, as libvirt writes <nvram>\n
  // <source…/>\n</nvram>.
  const auto begin = facts.vm.nvram_path.find_first_not_of(" \n\t");
  if (begin == std::string::npos) facts.vm.nvram_path.clear();
  for (const char* name : {"loader", "kernel", "initrd", "dtb"}) {
    const std::string path = text(os.child(name));
    if (path.starts_with('/')) facts.host_files.push_back(path);
  }
  for (const auto& table : os.child("acpi").children("table"))
    facts.host_files.push_back(text(table));
}

void read_devices(const pugi::xml_node& devices, DomainFacts& facts) {
  for (const auto& element : devices.children("disk")) {
    facts.disks.push_back(read_disk(element));
    facts.vm.disks.push_back(facts.disks.back().disk);
    read_secrets(element, facts.secrets);
    if (attribute(element, "type") == "vhostuser") facts.vhost_user = true;
  }
  for (const auto& found : devices.select_nodes(".//source[@protocol]"))
    facts.network_sources.push_back(read_network(found.node()));
  for (const auto& element : devices.children("interface")) {
    facts.interfaces.push_back(read_interface(element));
    const std::string rom = attribute(element.child("rom"), "file");
    if (!rom.empty()) facts.host_files.push_back(rom);
  }
  for (const auto& element : devices.children("graphics"))
    facts.graphics.push_back(read_graphics(element));
  for (const auto& element : devices.children("hostdev"))
    facts.host_devices.push_back(read_host_device(element));
  for (const auto& element : devices.children("filesystem")) {
    std::string driver = attribute(element.child("driver"), "type");
    if (driver != "virtiofs") driver = "9p";
    const auto source = element.child("source");
    std::string where = attribute(source, "dir");
    if (where.empty()) where = attribute(source, "socket");
    facts.filesystems.push_back(
        {std::move(driver), std::move(where), attribute(element.child("target"), "dir")});
  }
  for (const auto& element : devices.children("shmem"))
    facts.shared_memories.push_back(attribute(element, "name"));
  if (const auto backend = devices.child("tpm").child("backend")) {
    facts.tpm_backend = attribute(backend, "type");
    facts.tpm_persistent = attribute(backend, "persistent_state") == "yes";
  }
  for (const auto& element : devices.children("memory")) {
    const std::string path = text(element.child("source").child("path"));
    if (!path.empty()) facts.host_files.push_back(path);
  }
  facts.emulator = text(devices.child("emulator"));
}

}  // namespace

Result<DomainFacts> parse_domain(std::string_view xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  const auto domain = document.document_element();
  DomainFacts facts;
  facts.vm.uuid = lower_case(text(domain.child("uuid")));
  facts.vm.name = text(domain.child("name"));
  if (facts.vm.name.empty())
    return fail(ErrorCode::kInvalidArgument, "The definition has no name.");
  facts.vm.domain_type = attribute(domain, "type");
  facts.vm.memory = scaled(domain.child("memory"));
  facts.vm.labels = labels_in(domain);
  facts.vm.vcpus = domain.child("vcpu") ? domain.child("vcpu").text().as_uint() : 1;
  const auto os = domain.child("os");
  facts.vm.machine = attribute(os.child("type"), "machine");
  facts.arch = attribute(os.child("type"), "arch");
  read_firmware(os, facts);
  read_devices(domain.child("devices"), facts);

  const auto cpu = domain.child("cpu");
  facts.cpu_mode = attribute(cpu, "mode");
  if (cpu && facts.cpu_mode.empty() && cpu.child("model")) facts.cpu_mode = "custom";
  facts.cpu_model = text(cpu.child("model"));
  facts.cpu_check = attribute(cpu, "check");
  facts.huge_pages = static_cast<bool>(domain.child("memoryBacking").child("hugepages"));
  const auto page = domain.child("memoryBacking").child("hugepages").child("page");
  facts.huge_page_size = scaled(page, page.attribute("size").as_ullong());
  facts.shared_memory = has_shared_memory(domain);
  read_pinning(domain, facts);
  facts.fixed_numa = attribute(domain.child("numatune").child("memory"), "mode") == "strict";
  facts.launch_security = static_cast<bool>(domain.child("launchSecurity"));
  facts.qemu_commandline = static_cast<bool>(domain.child("qemu:commandline"));
  for (const auto& interface : facts.interfaces) facts.vhost_user |= interface.type == "vhostuser";
  return facts;
}

bool same_disks(const DomainFacts& one, const DomainFacts& other) {
  const auto files = [](const DomainFacts& facts) {
    std::vector<std::pair<std::string, std::string>> all;
    for (const DiskFacts& disk : facts.disks) {
      const DiskDevice device = disk.disk.device;
      if (device == DiskDevice::kCdrom || device == DiskDevice::kFloppy) continue;
      all.emplace_back(disk.disk.target, disk.disk.path.empty() ? disk.volume : disk.disk.path);
    }
    std::ranges::sort(all);
    return all;
  };
  return files(one) == files(other);
}

Result<std::string> cpu_element(std::string_view domain_xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  const auto cpu = document.document_element().child("cpu");
  if (!cpu) return std::string();
  return xml::write(cpu);
}

Result<std::vector<std::string>> definition_values(std::string_view xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  std::vector<std::string> values;
  for (const pugi::xpath_node& found : document.select_nodes("//@* | //text()"))
    values.emplace_back(found.attribute() ? found.attribute().value() : found.node().value());
  return values;
}

}  // namespace drover
