// SPDX-License-Identifier: Apache-2.0
// What only QEMU's own monitor can do, through libvirt: the fence's descriptors and its image, by
// add-fd and blockdev-add (docs/decisions/0001-fence-held-by-qemu.md,
// 0004-what-shared-storage-is.md), and commands of others.
#include <algorithm>
#include <optional>

#include <libvirt/libvirt-qemu.h>
#include <nlohmann/json.hpp>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/libvirt/monitor.h"

namespace drover::libvirt {
namespace {

using Json = nlohmann::json;

constexpr const char* kOpaque = "drover-fence";
// libvirt numbers sets of its own from 0 up and opens disks as /dev/fdset/N: one of ours must never
// be among them.
constexpr std::int64_t kFirstSet = 0x44520000;  // "DR"
constexpr std::int64_t kImageSet = 0x44520fff;  // behind those of any VM's disks
constexpr const char* kImageNode = "drover-fence";

Result<Json> monitor_command(virDomainPtr domain, const Json& command, int descriptor = -1) {
  return ask_monitor(domain, command, "keep the fence's descriptors", descriptor);
}

// The id of a set of ours; nothing: not ours, or not as QEMU describes sets. QEMU's answers are not
// trusted to have any shape, for a guest may have taken it over.
std::optional<std::int64_t> our_set(const Json& set) {
  if (!set.is_object() || !set.contains("fdset-id") || !set.contains("fds")) return {};
  const Json& id = set["fdset-id"];
  const Json& descriptors = set["fds"];
  if (!id.is_number_integer() || !descriptors.is_array() || descriptors.empty()) return {};
  const Json& first = descriptors.front();
  if (!first.is_object() || !first.contains("opaque") || first["opaque"] != kOpaque) return {};
  return id.get<std::int64_t>();
}

bool is_our_node(const Json& node) {
  return node.is_object() && node.contains("node-name") && node["node-name"] == kImageNode;
}

Status drop_image(virDomainPtr domain) {
  ASSIGN_OR_RETURN(const Json nodes,
                   monitor_command(domain, {{"execute", "query-named-block-nodes"},
                                            {"arguments", {{"flat", true}}}}));
  if (!nodes.is_array())
    return fail(ErrorCode::kHypervisor, "QEMU's list of images is not a list.");
  if (std::ranges::none_of(nodes, is_our_node)) return {};
  const auto gone = monitor_command(
      domain, {{"execute", "blockdev-del"}, {"arguments", {{"node-name", kImageNode}}}});
  if (!gone) return std::unexpected(gone.error());
  return {};
}

}  // namespace

Status Adapter::hold_image(std::string_view uuid, int image) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  RETURN_IF_ERROR(drop_image(found.get()));
  const Json pass{{"execute", "add-fd"},
                  {"arguments", {{"fdset-id", kImageSet}, {"opaque", kOpaque}}}};
  auto done = monitor_command(found.get(), pass, image);
  if (done) {
    const Json file{{"driver", "file"}, {"filename", fmt::format("/dev/fdset/{}", kImageSet)}};
    const Json node{{"driver", "qcow2"}, {"node-name", kImageNode}, {"file", file}};
    done = monitor_command(found.get(), {{"execute", "blockdev-add"}, {"arguments", node}});
  }
  if (done) return {};
  (void)drop_descriptors(uuid);
  return std::unexpected(done.error());
}

Status Adapter::hold_descriptors(std::string_view uuid, std::span<const int> descriptors) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  std::int64_t set = kFirstSet;
  for (const int descriptor : descriptors) {
    const Json command{{"execute", "add-fd"},
                       {"arguments", {{"fdset-id", set++}, {"opaque", kOpaque}}}};
    const auto added = monitor_command(found.get(), command, descriptor);
    if (!added) {
      (void)drop_descriptors(uuid);
      return std::unexpected(added.error());
    }
  }
  return {};
}

Status Adapter::drop_descriptors(std::string_view uuid) {
  const auto found = find(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound) return {};
  if (!found) return std::unexpected(found.error());
  if (virDomainIsActive(found->get()) == 0) return {};
  RETURN_IF_ERROR(drop_image(found->get()));
  ASSIGN_OR_RETURN(const Json sets, monitor_command(found->get(), {{"execute", "query-fdsets"}}));
  if (!sets.is_array())
    return fail(ErrorCode::kHypervisor, "QEMU's list of descriptors is not a list.");
  for (const auto& set : sets) {
    const auto id = our_set(set);
    if (!id) continue;
    const Json command{{"execute", "remove-fd"}, {"arguments", {{"fdset-id", *id}}}};
    const auto removed = monitor_command(found->get(), command);
    if (!removed) return std::unexpected(removed.error());
  }
  return {};
}

Result<std::string> Adapter::ask_qemu(std::string_view uuid, const std::string& command) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  char* raw = nullptr;
  const int failed = virDomainQemuMonitorCommand(found.get(), command.c_str(), &raw,
                                                 VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT);
  const Text reply(raw);
  if (failed != 0) return fail_libvirt("QEMU cannot be asked");
  return std::string(raw != nullptr ? raw : "");
}

}  // namespace drover::libvirt
