// SPDX-License-Identifier: Apache-2.0
#include "place/capacity.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "json/encode.h"
#include "preflight/local_files.h"

namespace drover::place {
namespace {

using Json = nlohmann::json;
using json::Fields;
using json::Unknown;

// Where a device does not say how fast it is, as a virtual one: 1 Gbit/s.
constexpr BytesPerSecond kLinkUsual{125'000'000};
// 400 Gbit/s: what is said above that is no link of today.
constexpr std::uint64_t kMbitMost = 400'000;
constexpr std::uint64_t kBytesOfMbit = 125'000;

BytesPerSecond speed_of(const std::string& device) {
  const auto text = read_file("/sys/class/net/" + device + "/speed");
  if (!text) return {0};
  std::uint64_t mbit = 0;
  const auto read = std::from_chars(text->data(), text->data() + text->size(), mbit);
  if (read.ec != std::errc() || mbit == 0 || mbit > kMbitMost) return {0};
  return {mbit * kBytesOfMbit};
}

// Of the fastest device that has an address and is not a bridge of guests.
BytesPerSecond link_of(const HostFacts& host) {
  BytesPerSecond fastest{0};
  for (const HostAddress& at : host.networks.addresses) {
    if (at.guests || at.device.find('/') != std::string::npos) continue;
    const BytesPerSecond speed = speed_of(at.device);
    if (speed.value > fastest.value) fastest = speed;
  }
  return fastest.value == 0 ? kLinkUsual : fastest;
}

ByteCount left_of(const TransferProgress& progress) {
  return {progress.total.bytes - std::min(progress.total.bytes, progress.done.bytes)};
}

Json encode_departures(const std::vector<Departure>& departures) {
  Json list = Json::array();
  for (const Departure& one : departures) {
    list.push_back({{"vm", one.vm},
                    {"destination_key", one.destination_key},
                    {"disk_left_bytes", one.disk_left.bytes},
                    {"memory_left_bytes", one.memory_left.bytes}});
  }
  return list;
}

Json encode_storages(const std::vector<fleet::Storage>& storages) {
  Json list = Json::array();
  for (const fleet::Storage& one : storages)
    list.push_back({{"name", one.name}, {"free_bytes", one.free.bytes}});
  return list;
}

}  // namespace

Result<Capacity> look_here(move::World& world, std::vector<Vm> vms, const std::vector<Move>& moves,
                           bool evacuated) {
  Capacity here;
  ASSIGN_OR_RETURN(here.host, world.hypervisor.host_facts());
  here.host.name = world.host_name;
  here.host.settings = world.book.settings();
  here.vms = std::move(vms);
  here.evacuated = evacuated;
  here.link_in = here.link_out = link_of(here.host);
  const BytesPerSecond limit = here.host.settings.bandwidth;
  if (limit.value > 0 && limit.value < here.link_out.value) here.link_out = limit;
  const std::string& folder = here.host.settings.default_folder;
  const auto facts =
      preflight::look_at_folder(folder, here.host.settings.allowed_folders, "libvirt-qemu");
  if (facts.exists && !facts.read_only) here.storages.push_back({folder, facts.free});
  for (const Move& move : moves) {
    const auto peer = world.book.find_peer(move.destination);
    if (!peer) continue;
    const TransferProgress& memory = move.progress.memory;
    here.departures.push_back({move.plan.vm.uuid, peer->public_key, left_of(move.progress.disks),
                               memory.total.bytes == 0 ? move.plan.vm.memory : left_of(memory)});
  }
  return here;
}

std::string to_json(const Capacity& capacity) {
  return json::dump({{"host", json::encode(capacity.host)},
                     {"vms", json::encode(capacity.vms)},
                     {"storages", encode_storages(capacity.storages)},
                     {"link_out_bytes_per_second", capacity.link_out.value},
                     {"link_in_bytes_per_second", capacity.link_in.value},
                     {"departures", encode_departures(capacity.departures)},
                     {"evacuated", capacity.evacuated}});
}

Result<Capacity> capacity_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  Capacity capacity;
  std::vector<Json> storages, departures;
  RETURN_IF_ERROR(Fields(tree, "", Unknown::kIgnore)
                      .need("host", capacity.host)
                      .need("vms", capacity.vms)
                      .need("storages", storages)
                      .need("link_out_bytes_per_second", capacity.link_out)
                      .need("link_in_bytes_per_second", capacity.link_in)
                      .need("departures", departures)
                      .need("evacuated", capacity.evacuated)
                      .finish());
  for (const Json& one : storages) {
    fleet::Storage& storage = capacity.storages.emplace_back();
    RETURN_IF_ERROR(Fields(one, "storages", Unknown::kIgnore)
                        .need("name", storage.name)
                        .need("free_bytes", storage.free)
                        .finish());
  }
  for (const Json& one : departures) {
    Departure& departure = capacity.departures.emplace_back();
    RETURN_IF_ERROR(Fields(one, "departures", Unknown::kIgnore)
                        .need("vm", departure.vm)
                        .need("destination_key", departure.destination_key)
                        .need("disk_left_bytes", departure.disk_left)
                        .need("memory_left_bytes", departure.memory_left)
                        .finish());
  }
  return capacity;
}

}  // namespace drover::place
