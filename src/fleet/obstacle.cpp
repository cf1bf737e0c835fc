// SPDX-License-Identifier: Apache-2.0
#include "fleet/obstacle.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace drover::fleet {
namespace {

std::string missing(const std::vector<std::string>& wanted, const std::vector<std::string>& there) {
  std::string names;
  for (const std::string& name : wanted) {
    if (holds(there, name)) continue;
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

ByteCount largest(const FleetHost& host) {
  ByteCount most;
  for (const Storage& storage : host.storages) most = std::max(most, storage.free);
  return most;
}

WhyNot of_the_source(Obstacle obstacle, const FleetVm& vm, const FleetHost& source) {
  switch (obstacle) {
    case Obstacle::kSourceUnreachable:
      return {obstacle, fmt::format("{}, where {} is, does not answer.", source.name, vm.name),
              fmt::format("Bring {} back, then plan again.", source.name)};
    case Obstacle::kSourceOutgoingOff:
      if (!source.outgoing) {
        return {obstacle, fmt::format("{} lets no VM leave.", source.name),
                fmt::format("drover settings outgoing=on, on {}.", source.name)};
      }
      return {
          obstacle, fmt::format("{} may run no move.", source.name),
          fmt::format("drover settings live-moves=2, on {}; its link must be up.", source.name)};
    case Obstacle::kMoving:
      return {obstacle, fmt::format("{} is moving already.", vm.name), ""};
    case Obstacle::kUndecided:
      return {obstacle,
              fmt::format("{} is in a move, and a host of that move does not answer: which of them "
                          "runs it is not decided.",
                          vm.name),
              "Bring that host back; the move then ends by itself."};
    default:
      return {
          obstacle,
          fmt::format("Room for {} would come free only by moves that wait for this one.", vm.name),
          "Allow one more destination, or make room on one of them."};
  }
}

}  // namespace

std::string_view obstacle_name(Obstacle obstacle) {
  static constexpr std::array<std::string_view, kObstacles> kNames{
      "SAME_HOST",        "HOST_UNREACHABLE",
      "HOST_EVACUATED",   "INCOMING_OFF",
      "NO_MOVES",         "MEMORY_SHORT",
      "CORES_SHORT",      "CPU_MISMATCH",
      "NETWORK_MISSING",  "SHARED_STORAGE_MISSING",
      "DISK_SPACE_SHORT", "SOURCE_UNREACHABLE",
      "OUTGOING_OFF",     "VM_MOVING",
      "UNDECIDED",        "CIRCLE_OF_ROOM"};
  return kNames[static_cast<std::size_t>(obstacle)];
}

WhyNot why_not(Obstacle obstacle, const FleetVm& vm, const FleetHost& host) {
  switch (obstacle) {
    case Obstacle::kIsHere:
      return {obstacle, fmt::format("{} is on {} already.", vm.name, host.name), ""};
    case Obstacle::kUnreachable:
      return {obstacle, fmt::format("{} does not answer.", host.name),
              fmt::format("drover doctor, on {}.", host.name)};
    case Obstacle::kEvacuated:
      return {obstacle, fmt::format("{} is being evacuated.", host.name), ""};
    case Obstacle::kIncomingOff:
      return {obstacle, fmt::format("{} takes no VMs.", host.name),
              fmt::format("drover settings incoming=on, on {}.", host.name)};
    case Obstacle::kNoMoves:
      return {obstacle, fmt::format("{} may run no move.", host.name),
              fmt::format("drover settings live-moves=2, on {}; its link must be up.", host.name)};
    case Obstacle::kMemory:
      return {obstacle,
              fmt::format("{} has {} of memory left; {} needs {}.", host.name,
                          to_text(host.memory_free), vm.name, to_text(vm.memory)),
              fmt::format("Move another VM away from {} first.", host.name)};
    case Obstacle::kCores:
      return {obstacle,
              fmt::format("{} has {} cores; {} has {} vCPUs.", host.name, host.cores, vm.name,
                          vm.vcpus),
              ""};
    case Obstacle::kCpu:
      return {obstacle,
              fmt::format("{} cannot give {} the CPU that it was started with ({}).", host.name,
                          vm.name, vm.cpu),
              fmt::format("Give {} a CPU model that both hosts have, and start it anew.", vm.name)};
    case Obstacle::kNetwork: {
      const std::string names = missing(vm.networks, host.networks);
      return {obstacle, fmt::format("{} has no network {}.", host.name, names),
              fmt::format("Make {} on {}.", names, host.name)};
    }
    case Obstacle::kSharedStorage: {
      const std::string names = missing(vm.shared, host.shared);
      return {obstacle, fmt::format("{} does not reach {}.", host.name, names),
              fmt::format("Mount {} on {}.", names, host.name)};
    }
    case Obstacle::kDiskSpace:
      return {obstacle,
              fmt::format("No storage of {} has more than {} free; the disks of {} need {}.",
                          host.name, to_text(largest(host)), vm.name, to_text(vm.disk_space)),
              fmt::format("Make room on {}, or allow another folder there.", host.name)};
    default:
      return of_the_source(obstacle, vm, host);
  }
}

}  // namespace drover::fleet
