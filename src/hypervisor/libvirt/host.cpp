// SPDX-License-Identifier: Apache-2.0
// What the host is and has.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <sstream>

#include <unistd.h>

#include "base/file.h"
#include "hypervisor/host_addresses.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

struct Memory {
  ByteCount total, available;
};

// From the kernel, not from libvirt: libvirt counts the memory of NUMA nodes it knows, and "free +
// cached" would count the shared memory of guests as free.
Memory host_memory() {
  Memory memory;
  const auto content = read_file("/proc/meminfo");
  if (!content) return memory;
  std::istringstream lines(*content);
  std::string name, unit;
  std::uint64_t value_kib = 0;
  while (lines >> name >> value_kib) {
    std::getline(lines, unit);
    if (name == "MemTotal:") memory.total = kib(value_kib);
    if (name == "MemAvailable:") memory.available = kib(value_kib);
  }
  return memory;
}

std::vector<std::string> bridges() {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/net", error)) {
    if (std::filesystem::exists(entry.path() / "bridge", error))
      found.push_back(entry.path().filename().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

NetworkFacts network_facts(virConnectPtr connection) {
  NetworkFacts facts{bridges(), {}, host_addresses(), {}};
  facts.links = host_links(facts.bridges, facts.addresses);
  virNetworkPtr* list = nullptr;
  const int count = virConnectListAllNetworks(connection, &list, VIR_CONNECT_LIST_NETWORKS_ACTIVE);
  if (count < 0) return facts;
  for (const auto& network : take_list<NetworkHandle>(list, count)) {
    const std::string name = virNetworkGetName(network.get());
    facts.active_networks.push_back(name);
    const Text bridge(virNetworkGetBridgeName(network.get()));
    if (!bridge) continue;
    const auto link = std::ranges::find(facts.links, bridge.get(), &LinkFacts::name);
    if (link != facts.links.end()) link->network = name;
  }
  std::sort(facts.active_networks.begin(), facts.active_networks.end());
  return facts;
}

void read_capabilities(virConnectPtr connection, HostFacts& facts) {
  const Text text(virConnectGetCapabilities(connection));
  if (!text) return;
  const auto document = xml::parse(text.get(), "capabilities");
  if (!document) return;
  const auto root = document->document_element();
  facts.host_uuid = root.child("host").child("uuid").text().get();
  for (const auto& guest : root.children("guest")) {
    const auto arch = guest.child("arch");
    if (std::string_view(arch.attribute("name").value()) != "x86_64") continue;
    for (const auto& machine : arch.children("machine"))
      facts.machine_types.emplace_back(machine.text().get());
    for (const auto& domain : arch.children("domain")) {
      if (std::string_view(domain.attribute("type").value()) == "kvm") facts.kvm_usable = true;
    }
  }
}

}  // namespace

Result<std::vector<PoolFacts>> Adapter::pools(virConnectPtr connection) {
  virStoragePoolPtr* list = nullptr;
  const int count = virConnectListAllStoragePools(connection, &list, 0);
  // A libvirt without its storage driver (a package of its own in newer releases) has no pools;
  // that is no failure.
  if (count < 0 && last_error_code() == VIR_ERR_NO_SUPPORT) return std::vector<PoolFacts>{};
  if (count < 0) return fail_libvirt("Cannot list the storage pools");
  std::vector<PoolFacts> pools;
  for (const auto& pool : take_list<PoolHandle>(list, count)) {
    const Text text(virStoragePoolGetXMLDesc(pool.get(), 0));
    if (!text) continue;
    const auto document = xml::parse(text.get(), "pool");
    if (!document) continue;
    const auto root = document->document_element();
    pools.push_back({virStoragePoolGetName(pool.get()), root.attribute("type").value(),
                     root.child("target").child("path").text().get(),
                     virStoragePoolIsActive(pool.get()) == 1});
  }
  return pools;
}

Result<HostFacts> Adapter::host_facts() {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  HostFacts facts;
  unsigned long version = 0;
  if (virConnectGetLibVersion(connection.get(), &version) != 0)
    return fail_libvirt("Cannot ask libvirt for its version");
  facts.libvirt_version = version;
  facts.hypervisor_up = true;
  if (virConnectGetVersion(connection.get(), &version) == 0) facts.qemu_version = version;
  if (const Text name(virConnectGetHostname(connection.get())); name) facts.name = name.get();
  virNodeInfo node{};
  if (virNodeGetInfo(connection.get(), &node) != 0) {
    return fail_libvirt("Cannot ask libvirt for the host's processors");
  }
  facts.cpus = node.cpus;
  const Memory memory = host_memory();
  facts.memory_total = memory.total;
  facts.memory_free = memory.available;
  read_capabilities(connection.get(), facts);
  facts.networks = network_facts(connection.get());
  facts.clock = std::chrono::system_clock::now();
  facts.pools = pools(connection.get()).value_or(std::vector<PoolFacts>{});
  return facts;
}

Status Adapter::refresh_pool(std::string_view folder) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
  ASSIGN_OR_RETURN(const auto all, pools(connection.get()));
  for (const auto& facts : all) {
    if (!facts.active || facts.path != folder) continue;
    const PoolHandle pool(virStoragePoolLookupByName(connection.get(), facts.name.c_str()));
    if (!pool || virStoragePoolRefresh(pool.get(), 0) != 0)
      return fail_libvirt("Cannot refresh the pool " + facts.name);
  }
  return {};
}

}  // namespace drover::libvirt
