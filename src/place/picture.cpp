// SPDX-License-Identifier: Apache-2.0
#include "place/picture.h"

#include <algorithm>
#include <set>

#include "base/fan_out.h"
#include "place/verbs.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskLimit = 6s;
// What a peer says beyond these is no host of today; sums of the planner stay far from overflowing.
constexpr std::size_t kVmsMost = 10'000;
constexpr std::size_t kStoragesMost = 64;
constexpr std::uint32_t kVcpusMost = 10'000;
constexpr ByteCount kBytesMost = gib(1 << 20);       // 1 PiB
constexpr BytesPerSecond kRateMost{50'000'000'000};  // 400 Gbit/s

ByteCount bounded(ByteCount size) { return std::min(size, kBytesMost); }
BytesPerSecond bounded(BytesPerSecond rate) { return std::min(rate, kRateMost); }

bool is_there(const Vm& vm) {
  return vm.state == VmState::kRunning || vm.state == VmState::kPaused;
}

fleet::FleetHost host_of(const std::string& name, const Capacity& capacity) {
  const HostFacts& facts = capacity.host;
  fleet::FleetHost host;
  host.name = name;
  host.memory_total = bounded(facts.memory_total);
  host.memory_free = bounded(facts.memory_free);
  host.cores = facts.cpus;
  for (const Vm& vm : capacity.vms) {
    if (is_there(vm)) host.vcpus += std::min(vm.vcpus, kVcpusMost);
  }
  for (const fleet::Storage& storage : capacity.storages) {
    if (host.storages.size() < kStoragesMost)
      host.storages.push_back({storage.name, bounded(storage.free)});
  }
  const MoveLimit limit = facts.settings.live_moves;
  host.live_moves = limit.unlimited() ? kMoveLimitMost : limit.count;
  host.link_out = bounded(capacity.link_out);
  host.link_in = bounded(capacity.link_in);
  host.incoming = facts.settings.incoming;
  host.outgoing = facts.settings.outgoing;
  host.evacuated = capacity.evacuated;
  return host;
}

fleet::FleetHost unreachable_host(const std::string& name) {
  fleet::FleetHost host;
  host.name = name;
  host.unreachable = true;
  return host;
}

fleet::FleetVm vm_of(const Vm& vm) {
  fleet::FleetVm one;
  one.id = vm.uuid;
  one.name = vm.name;
  one.host = vm.host;
  if (is_there(vm)) one.memory = bounded(vm.memory);
  one.vcpus = std::min(vm.vcpus, kVcpusMost);
  one.disk_bytes = one.disk_space = bounded(disks_of(vm));
  return one;
}

// Of two hosts that have a VM, it is on the one where it runs: at the other it arrives, or is left.
bool tells_more(const Vm& vm, const Vm& known) { return is_there(vm) && !is_there(known); }

void add_vms(const std::vector<Vm>& vms, const std::string& host, Picture& picture) {
  std::size_t count = 0;
  for (Vm vm : vms) {
    if (vm.state == VmState::kIncoming || vm.uuid.empty() || ++count > kVmsMost) continue;
    vm.host = host;
    const auto [known, fresh] = picture.vms.try_emplace(vm.uuid, vm);
    if (!fresh && tells_more(vm, known->second)) known->second = std::move(vm);
  }
}

void add_departures(const Capacity& capacity, const std::string& host,
                    const std::map<std::string_view, std::string>& names, Picture& picture,
                    std::set<std::string>& moving) {
  for (const Departure& one : capacity.departures) {
    const auto vm = picture.vms.find(one.vm);
    const auto destination = names.find(one.destination_key);
    if (vm == picture.vms.end() || vm->second.host != host || destination == names.end() ||
        destination->second == host || !moving.insert(one.vm).second)
      continue;
    picture.fleet.running.push_back(
        {one.vm, destination->second, "", bounded(one.disk_left), bounded(one.memory_left)});
  }
}

// The disks of what is under way land in the destination's only storage.
void name_storages(fleet::Fleet& fleet) {
  for (fleet::RunningMove& move : fleet.running) {
    const auto host = std::ranges::find(fleet.hosts, move.destination, &fleet::FleetHost::name);
    if (move.disk_left.bytes > 0 && !host->storages.empty())
      move.storage = host->storages.front().name;
  }
}

}  // namespace

ByteCount disks_of(const Vm& vm) {
  ByteCount total;
  for (const Disk& disk : vm.disks) {
    const bool own = disk.device == DiskDevice::kDisk && !disk.read_only && !disk.shareable;
    if (own && (disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume))
      total += disk.allocated;
  }
  return total;
}

Picture make_picture(std::string_view here_name, std::string_view here_key,
                     const Result<Capacity>& here, const std::vector<PeerAnswer>& peers) {
  Picture picture;
  picture.here = here_name;
  std::map<std::string_view, std::string> names{{here_key, picture.here}};
  const auto add = [&](const std::string& name, const Result<Capacity>& capacity) {
    if (!capacity) {
      picture.troubles.emplace(name, capacity.error().message);
      picture.fleet.hosts.push_back(unreachable_host(name));
      return;
    }
    picture.fleet.hosts.push_back(host_of(name, *capacity));
    add_vms(capacity->vms, name, picture);
  };
  add(picture.here, here);
  for (const PeerAnswer& answer : peers) {
    if (answer.peer.name == here_name) continue;
    names.emplace(answer.peer.public_key, answer.peer.name);
    add(answer.peer.name, answer.capacity);
  }
  std::set<std::string> moving;
  if (here) add_departures(*here, picture.here, names, picture, moving);
  for (const PeerAnswer& answer : peers) {
    if (answer.capacity && answer.peer.name != here_name)
      add_departures(*answer.capacity, answer.peer.name, names, picture, moving);
  }
  for (const auto& [uuid, vm] : picture.vms) picture.fleet.vms.push_back(vm_of(vm));
  name_storages(picture.fleet);
  return picture;
}

std::vector<PeerAnswer> ask_peers(move::World& world) {
  std::vector<PeerAnswer> answers;
  for (const Peer& peer : world.book.peers()) {
    if (peer.state != PeerState::kPaired) continue;
    answers.push_back({peer, fail(ErrorCode::kUnavailable, "{} was not asked.", peer.name)});
  }
  fan_out(answers.size(), [&](std::size_t i) {
    const std::string& name = answers[i].peer.name;
    const auto text = world.peers.call(name, verb::kCapacity, "{}", Deadline::after(kAskLimit));
    answers[i].capacity = text ? capacity_from_json(*text) : std::unexpected(text.error());
    if (!text && text.error().code == ErrorCode::kNotFound) {
      answers[i].capacity =
          fail(ErrorCode::kUnavailable,
               "{} does not say what room it has: it runs an older Drover. Upgrade it.", name);
    }
  });
  return answers;
}

}  // namespace drover::place
