// SPDX-License-Identifier: Apache-2.0
#include "fleet/room.h"

#include <algorithm>

namespace drover::fleet {
namespace {

constexpr double kVcpusPerCore = 4;  // at which a host counts as full; docs/fleet.md

std::int64_t signed_bytes(ByteCount size) { return static_cast<std::int64_t>(size.bytes); }

bool has_all(const std::vector<std::string>& there, const std::vector<std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const std::string& name) { return holds(there, name); });
}

}  // namespace

Room::Room(const Fleet& fleet) : fleet_(fleet) {
  const std::size_t count = fleet.hosts.size();
  names_.reserve(count);
  leaving_.resize(count);
  largest_.resize(count);
  storages_.resize(count);
  for (HostIndex i = 0; i < count; ++i) {
    const FleetHost& host = fleet.hosts[i];
    names_.emplace(host.name, i);
    memory_.push_back(signed_bytes(host.memory_free));
    vcpus_.push_back(host.vcpus);
    for (const Storage& storage : host.storages) storages_[i].push_back(storage.free.bytes);
    measure(i);
  }
  std::unordered_map<std::string_view, VmIndex> vms;
  for (VmIndex i = 0; i < fleet.vms.size(); ++i) vms.emplace(fleet.vms[i].id, i);
  for (const RunningMove& move : fleet.running) {
    const HostIndex destination = this->host(move.destination);
    const auto vm = vms.find(move.vm);
    if (destination == kNone || vm == vms.end()) continue;
    take_at(fleet.vms[vm->second], destination, storage(destination, move.storage));
  }
}

std::uint32_t Room::storage(HostIndex host, std::string_view name) const {
  const auto& storages = fleet_.hosts[host].storages;
  const auto it = std::ranges::find(storages, name, &Storage::name);
  return it == storages.end() ? kNone : static_cast<std::uint32_t>(it - storages.begin());
}

FleetHost Room::as_left(HostIndex index) const {
  FleetHost host = fleet_.hosts[index];
  host.memory_free = {static_cast<std::uint64_t>(std::max<std::int64_t>(0, memory_[index]))};
  for (std::size_t i = 0; i < host.storages.size(); ++i)
    host.storages[i].free = {storages_[index][i]};
  return host;
}

HostIndex Room::host(std::string_view name) const {
  const auto it = names_.find(name);
  return it == names_.end() ? kNone : it->second;
}

bool Room::suits(const FleetVm& vm, HostIndex index) const {
  const FleetHost& host = fleet_.hosts[index];
  return !host.unreachable && !host.evacuated && host.incoming && host.live_moves > 0 &&
         host.link_in.value > 0 && (host.cores == 0 || host.cores >= vm.vcpus) &&
         (vm.cpu.empty() || holds(host.cpus, vm.cpu)) && has_all(host.networks, vm.networks) &&
         has_all(host.shared, vm.shared);
}

Obstacle Room::unsuited(const FleetVm& vm, HostIndex host) const {
  for (const Obstacle obstacle : obstacles(vm, host)) {
    if (obstacle != Obstacle::kMemory) return obstacle;
  }
  return Obstacle::kIsHere;
}

std::vector<Obstacle> Room::obstacles(const FleetVm& vm, HostIndex index) const {
  const FleetHost& host = fleet_.hosts[index];
  std::vector<Obstacle> found;
  const auto note = [&](bool bad, Obstacle obstacle) {
    if (bad) found.push_back(obstacle);
  };
  if (host.name == vm.host) return {Obstacle::kIsHere};
  note(host.unreachable, Obstacle::kUnreachable);
  note(host.evacuated, Obstacle::kEvacuated);
  note(!host.incoming, Obstacle::kIncomingOff);
  note(host.live_moves == 0 || host.link_in.value == 0, Obstacle::kNoMoves);
  note(memory_[index] < signed_bytes(vm.memory), Obstacle::kMemory);
  note(host.cores != 0 && host.cores < vm.vcpus, Obstacle::kCores);
  note(!vm.cpu.empty() && !holds(host.cpus, vm.cpu), Obstacle::kCpu);
  note(!has_all(host.networks, vm.networks), Obstacle::kNetwork);
  note(!has_all(host.shared, vm.shared), Obstacle::kSharedStorage);
  note(vm.disk_space.bytes > largest_[index], Obstacle::kDiskSpace);
  return found;
}

double Room::load_with(const FleetVm& vm, HostIndex index) const {
  const FleetHost& host = fleet_.hosts[index];
  const double total = std::max(1.0, static_cast<double>(host.memory_total.bytes));
  const double left = static_cast<double>(memory_[index] - signed_bytes(vm.memory));
  const double memory = 1 - left / total;
  if (host.cores == 0) return memory;
  const double vcpus = static_cast<double>(vcpus_[index] + vm.vcpus);
  return std::max(memory, vcpus / (kVcpusPerCore * host.cores));
}

std::uint32_t Room::roomiest(const FleetVm& vm, HostIndex host) const {
  if (vm.disk_space.bytes == 0) return kNone;
  const auto& free = storages_[host];
  return static_cast<std::uint32_t>(std::ranges::max_element(free) - free.begin());
}

std::uint32_t Room::take(const FleetVm& vm, HostIndex host) {
  const std::uint32_t storage = roomiest(vm, host);
  take_at(vm, host, storage);
  return storage;
}

void Room::take_at(const FleetVm& vm, HostIndex host, std::uint32_t storage) {
  memory_[host] -= signed_bytes(vm.memory);
  vcpus_[host] += vm.vcpus;
  if (storage == kNone) return;
  std::uint64_t& free = storages_[host][storage];
  free -= std::min(free, vm.disk_space.bytes);
  measure(host);
}

void Room::give_back(const FleetVm& vm, HostIndex host, std::uint32_t storage) {
  memory_[host] += signed_bytes(vm.memory);
  vcpus_[host] -= vm.vcpus;
  if (storage == kNone) return;
  storages_[host][storage] += vm.disk_space.bytes;
  measure(host);
}

void Room::depart(const FleetVm& vm, HostIndex host) { leaving_[host] += signed_bytes(vm.memory); }

void Room::stay(const FleetVm& vm, HostIndex host) { leaving_[host] -= signed_bytes(vm.memory); }

void Room::gone(const FleetVm& vm, HostIndex host) {
  memory_[host] += signed_bytes(vm.memory);
  vcpus_[host] -= std::min<std::uint64_t>(vcpus_[host], vm.vcpus);
}

void Room::measure(HostIndex host) {
  largest_[host] = storages_[host].empty() ? 0 : std::ranges::max(storages_[host]);
}

}  // namespace drover::fleet
