// SPDX-License-Identifier: Apache-2.0
// Hosts, their settings and peers, VMs and disks: one encode and one decode each, side by side.
#include <charconv>

#include <fmt/core.h>

#include "json/encode.h"
#include "json/optional_members.h"

namespace drover::json {
namespace {

using Json = nlohmann::json;

Status read_version(const Json& from, const char* name, const std::string& path, Version& out) {
  const std::string text = from.value(name, std::string());
  const char* at = text.data();
  const char* const end = at + text.size();
  Version version = 0;
  for (int part = 0; part < 3; ++part) {
    unsigned value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    const bool last = part == 2;
    if (error != std::errc() || (part > 0 && value > 999) ||
        (last ? next != end : next == end || *next != '.')) {
      return fail(ErrorCode::kProtocol, "{}{}{} must be a version like 9.0.0.", path,
                  path.empty() ? "" : ".", name);
    }
    version = version * 1000 + value;
    at = next + (last ? 0 : 1);
  }
  out = version;
  return {};
}

}  // namespace

Json encode(const DiskLayer& value) {
  return {{"path", value.path},
          {"format", value.format},
          {"virtual_size_bytes", value.virtual_size.bytes},
          {"allocated_bytes", value.allocated.bytes},
          {"cluster_size_bytes", value.cluster_size.bytes}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, DiskLayer& out) {
  return Fields(from, path, unknown)
      .need("path", out.path)
      .need("format", out.format)
      .may("virtual_size_bytes", out.virtual_size)
      .may("allocated_bytes", out.allocated)
      .may("cluster_size_bytes", out.cluster_size)
      .finish();
}

Json encode(const Checkpoint& value) {
  return {{"name", value.name},
          {"parent", value.parent},
          {"made_at", time_text(value.made_at)},
          {"current", value.current},
          {"internal_disks", value.internal_disks},
          {"external_disks", value.external_disks},
          {"memory_file", value.memory_file}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Checkpoint& out) {
  return Fields(from, path, unknown)
      .need("name", out.name)
      .may("parent", out.parent)
      .may("made_at", out.made_at)
      .may("current", out.current)
      .may("internal_disks", out.internal_disks)
      .may("external_disks", out.external_disks)
      .may("memory_file", out.memory_file)
      .finish();
}

Json encode(const Disk& value) {
  return {{"target", value.target},
          {"kind", name_of(value.kind)},
          {"device", name_of(value.device)},
          {"path", value.path},
          {"format", value.format},
          {"virtual_size_bytes", value.virtual_size.bytes},
          {"allocated_bytes", value.allocated.bytes},
          {"cluster_size_bytes", value.cluster_size.bytes},
          {"read_only", value.read_only},
          {"shareable", value.shareable},
          {"backing_chain", value.backing_chain},
          {"layers", encode(value.layers)},
          {"pool", value.pool}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Disk& out) {
  return Fields(from, path, unknown)
      .need("target", out.target)
      .need("kind", out.kind)
      .need("device", out.device)
      .may("path", out.path)
      .may("format", out.format)
      .may("virtual_size_bytes", out.virtual_size)
      .may("allocated_bytes", out.allocated)
      .may("cluster_size_bytes", out.cluster_size)
      .may("read_only", out.read_only)
      .may("shareable", out.shareable)
      .may("backing_chain", out.backing_chain)
      .may("layers", out.layers)
      .may("pool", out.pool)
      .finish();
}

Json encode(const Vm& value) {
  return {{"uuid", value.uuid},
          {"name", value.name},
          {"host", value.host},
          {"state", name_of(value.state)},
          {"persistent", value.persistent},
          {"autostart", value.autostart},
          {"memory_bytes", value.memory.bytes},
          {"vcpus", value.vcpus},
          {"domain_type", value.domain_type},
          {"machine", value.machine},
          {"nvram_path", value.nvram_path},
          {"snapshots", value.snapshots},
          {"disks", encode(value.disks)},
          {"move_id", value.move_id},
          {"remark", value.remark},
          {"saved", value.saved},
          {"labels", value.labels},
          {"checkpoints", encode(value.checkpoints)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Vm& out) {
  return Fields(from, path, unknown)
      .need("uuid", out.uuid)
      .need("name", out.name)
      .may("host", out.host)
      .need("state", out.state)
      .may("persistent", out.persistent)
      .may("autostart", out.autostart)
      .need("memory_bytes", out.memory)
      .may("vcpus", out.vcpus)
      .may("domain_type", out.domain_type)
      .may("machine", out.machine)
      .may("nvram_path", out.nvram_path)
      .may("snapshots", out.snapshots)
      .need("disks", out.disks)
      .may("move_id", out.move_id)
      .may("remark", out.remark)
      .may("saved", out.saved)
      .may("labels", out.labels)
      .may("checkpoints", out.checkpoints)
      .finish();
}

Json encode(const HostSettings& value) {
  return {{"incoming", value.incoming},
          {"outgoing", value.outgoing},
          {"default_folder", value.default_folder},
          {"allowed_folders", value.allowed_folders},
          {"performance", performance_name(value.performance)},
          {"live_moves", move_limit_text(value.live_moves)},
          {"storage_moves", move_limit_text(value.storage_moves)},
          {"bandwidth_bytes_per_second", value.bandwidth.value},
          {"convergence", convergence_text(value.convergence)},
          {"networks", value.networks},
          {"groups", value.groups},
          {"network_disks", value.network_disks},
          {"residue_max_bytes", value.residue_max.bytes},
          {"residue_age_hours", value.residue_age.count()},
          {"space_reserve_bytes", value.space_reserve.bytes},
          {"space_patience_seconds", value.space_patience.count()},
          {"retries", value.retries},
          {"health_watch_ms", std::chrono::milliseconds(value.health_watch).count()}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostSettings& out) {
  int hours = static_cast<int>(out.residue_age.count());
  int patience = static_cast<int>(out.space_patience.count());
  std::chrono::milliseconds watch = out.health_watch;
  RETURN_IF_ERROR(Fields(from, path, unknown)
                      .need("incoming", out.incoming)
                      .need("outgoing", out.outgoing)
                      .need("default_folder", out.default_folder)
                      .need("allowed_folders", out.allowed_folders)
                      .may("performance", out.performance)
                      .may("live_moves", out.live_moves)
                      .may("storage_moves", out.storage_moves)
                      .may("bandwidth_bytes_per_second", out.bandwidth)
                      .may("convergence", out.convergence)
                      .may("networks", out.networks)
                      .may("groups", out.groups)
                      .may("network_disks", out.network_disks)
                      .may("residue_max_bytes", out.residue_max)
                      .may("residue_age_hours", hours)
                      .may("space_reserve_bytes", out.space_reserve)
                      .may("space_patience_seconds", patience)
                      .may("retries", out.retries)
                      .may("health_watch_ms", watch)
                      .finish());
  if (hours < 1 || hours > kResidueAgeMost.count())
    return fail(ErrorCode::kProtocol, "{}.residue_age_hours is out of range.", path);
  out.residue_age = std::chrono::hours(hours);
  if (patience < 1 || patience > kSpacePatienceMost.count())
    return fail(ErrorCode::kProtocol, "{}.space_patience_seconds is out of range.", path);
  out.space_patience = std::chrono::seconds(patience);
  if (out.retries > kRetriesMost)
    return fail(ErrorCode::kProtocol, "{}.retries is out of range.", path);
  if (watch > kHealthWatchMost)
    return fail(ErrorCode::kProtocol, "{}.health_watch_ms is out of range.", path);
  out.health_watch = std::chrono::duration_cast<std::chrono::seconds>(watch);
  return {};
}

Json encode(const PeerRights& value) {
  return {{"send", value.send},
          {"receive", value.receive},
          {"command", value.command},
          {"introduce", value.introduce}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, PeerRights& out) {
  return Fields(from, path, unknown)
      .may("send", out.send)
      .may("receive", out.receive)
      .may("command", out.command)
      .may("introduce", out.introduce)
      .finish();
}

Json encode(const Peer& value) {
  return {{"name", value.name},
          {"address", value.address},
          {"api_port", value.api_port},
          {"mover_port", value.mover_port},
          {"public_key", value.public_key},
          {"rights", encode(value.rights)},
          {"state", name_of(value.state)}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Peer& out) {
  return Fields(from, path, unknown)
      .need("name", out.name)
      .need("address", out.address)
      .need("api_port", out.api_port)
      .need("mover_port", out.mover_port)
      .need("public_key", out.public_key)
      .may("rights", out.rights)
      .may("state", out.state)
      .finish();
}

Json encode(const HostAddress& value) {
  return {{"address", value.address},
          {"prefix_bits", value.prefix_bits},
          {"device", value.device},
          {"guests", value.guests}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostAddress& out) {
  return Fields(from, path, unknown)
      .need("address", out.address)
      .need("prefix_bits", out.prefix_bits)
      .may("device", out.device)
      .may("guests", out.guests)
      .finish();
}

Json encode(const LinkFacts& value) {
  return {{"name", value.name},
          {"mtu", value.mtu},
          {"speed_mbit", value.speed_mbit},
          {"network", value.network}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, LinkFacts& out) {
  return Fields(from, path, unknown)
      .need("name", out.name)
      .may("mtu", out.mtu)
      .may("speed_mbit", out.speed_mbit)
      .may("network", out.network)
      .finish();
}

Status decode(const Json& from, const std::string& path, Unknown unknown, NetworkFacts& out) {
  return Fields(from, path, unknown)
      .need("bridges", out.bridges)
      .need("active_networks", out.active_networks)
      .may("addresses", out.addresses)
      .may("links", out.links)
      .finish();
}

Status decode(const Json& from, const std::string& path, Unknown unknown, PoolFacts& out) {
  return Fields(from, path, unknown)
      .need("name", out.name)
      .may("type", out.type)
      .may("path", out.path)
      .may("active", out.active)
      .finish();
}

Json encode(const HostFacts& value) {
  auto pools = Json::array();
  for (const auto& pool : value.pools) {
    pools.push_back(
        {{"name", pool.name}, {"type", pool.type}, {"path", pool.path}, {"active", pool.active}});
  }
  Json out{{"name", value.name},
           {"host_uuid", value.host_uuid},
           {"drover_version", value.drover_version},
           {"libvirt_version", version_text(value.libvirt_version)},
           {"qemu_version", version_text(value.qemu_version)},
           {"hypervisor_up", value.hypervisor_up},
           {"memory_total_bytes", value.memory_total.bytes},
           {"memory_free_bytes", value.memory_free.bytes},
           {"cpus", value.cpus},
           {"machine_types", value.machine_types},
           {"kvm_usable", value.kvm_usable},
           {"networks",
            {{"bridges", value.networks.bridges},
             {"active_networks", value.networks.active_networks},
             {"addresses", encode(value.networks.addresses)},
             {"links", encode(value.networks.links)}}},
           {"pools", pools},
           {"settings", encode(value.settings)}};
  put_time(out, "clock", value.clock);
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, HostFacts& out) {
  std::string libvirt_version, qemu_version;
  RETURN_IF_ERROR(Fields(from, path, unknown)
                      .need("name", out.name)
                      .may("host_uuid", out.host_uuid)
                      .may("drover_version", out.drover_version)
                      .need("libvirt_version", libvirt_version)
                      .need("qemu_version", qemu_version)
                      .may("hypervisor_up", out.hypervisor_up)
                      .may("memory_total_bytes", out.memory_total)
                      .may("memory_free_bytes", out.memory_free)
                      .may("cpus", out.cpus)
                      .may("machine_types", out.machine_types)
                      .may("kvm_usable", out.kvm_usable)
                      .may("networks", out.networks)
                      .may("pools", out.pools)
                      .may("settings", out.settings)
                      .may("clock", out.clock)
                      .finish());
  RETURN_IF_ERROR(read_version(from, "libvirt_version", path, out.libvirt_version));
  return read_version(from, "qemu_version", path, out.qemu_version);
}

}  // namespace drover::json
