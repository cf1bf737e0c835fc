// SPDX-License-Identifier: Apache-2.0
// Signs of a guest's life, its agent, and its network interfaces plugged anew.
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include <libvirt/libvirt-qemu.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

using namespace std::chrono_literals;

constexpr const char* kAgentChannel = "org.qemu.guest_agent.0";
// A guest's driver sees the link go within milliseconds; what runs above it may look once a second.
constexpr auto kUnplugged = 1s;

std::string master_of(const std::string& device) {
  std::error_code none;
  const auto master = std::filesystem::read_symlink("/sys/class/net/" + device + "/master", none);
  return none ? std::string() : master.filename().string();
}

bool exists(const std::string& device) {
  std::error_code ignored;
  return !device.empty() && std::filesystem::exists("/sys/class/net/" + device, ignored);
}

// A switch of another kind plugs its ports by itself.
std::string bridge_of(const pugi::xml_node& interface) {
  return interface.child("virtualport") ? ""
                                        : interface.child("source").attribute("bridge").value();
}

InterfaceSigns read_interface(virDomainPtr domain, const pugi::xml_node& node) {
  InterfaceSigns signs;
  signs.mac = node.child("mac").attribute("address").value();
  signs.device = node.child("target").attribute("dev").value();
  signs.bridge = bridge_of(node);
  signs.link_up = std::strcmp(node.child("link").attribute("state").value(), "down") != 0;
  if (exists(signs.device) && !signs.bridge.empty())
    signs.plugged = master_of(signs.device) == signs.bridge;
  virDomainInterfaceStatsStruct counters{};
  if (signs.device.empty() ||
      virDomainInterfaceStats(domain, signs.device.c_str(), &counters, sizeof counters) != 0 ||
      counters.rx_packets < 0 || counters.tx_packets < 0) {
    return signs;
  }
  signs.counted = true;
  signs.received_packets = static_cast<std::uint64_t>(counters.rx_packets);
  signs.sent_packets = static_cast<std::uint64_t>(counters.tx_packets);
  return signs;
}

bool has_connected_agent(const pugi::xml_node& devices) {
  for (const auto& channel : devices.children("channel")) {
    const auto target = channel.child("target");
    if (std::strcmp(target.attribute("name").value(), kAgentChannel) == 0 &&
        std::strcmp(target.attribute("state").value(), "connected") == 0) {
      return true;
    }
  }
  return false;
}

Status put_into_bridge(const std::string& device, const std::string& bridge) {
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!any || bridge.size() >= sizeof request.ifr_name)
    return fail_errno("Cannot reach the bridge " + bridge);
  std::memcpy(request.ifr_name, bridge.c_str(), bridge.size());
  request.ifr_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
  if (request.ifr_ifindex != 0 && ::ioctl(any.get(), SIOCBRADDIF, &request) == 0) return {};
  return fail_errno("Cannot put " + device + " back into the bridge " + bridge);
}

Status set_link(virDomainPtr domain, pugi::xml_node interface, const char* state) {
  auto link = interface.child("link");
  if (!link) link = interface.append_child("link");
  xml::set_attribute(link, "state", state);
  const std::string text = xml::write(interface);
  if (virDomainUpdateDeviceFlags(domain, text.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0)
    return fail_libvirt(fmt::format("The link of the interface {} cannot be set {}",
                                    interface.child("mac").attribute("address").value(), state));
  return {};
}

}  // namespace

Result<GuestSigns> Adapter::guest_signs(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  ASSIGN_OR_RETURN(const RunState state, run_state_of(found.get()));
  GuestSigns signs;
  signs.runs =
      state.kind == RunState::Kind::kRunning || state.kind == RunState::Kind::kMigratingOut;
  signs.state = state.reason;
  if (virDomainIsActive(found.get()) != 1) return signs;
  virDomainInfo info{};
  if (virDomainGetInfo(found.get(), &info) == 0)
    signs.cpu_time = std::chrono::nanoseconds(info.cpuTime);
  ASSIGN_OR_RETURN(const std::string text, domain_xml(found.get(), 0));
  ASSIGN_OR_RETURN(const auto tree, xml::parse(text, "domain"));
  const auto devices = tree.child("domain").child("devices");
  signs.has_agent = has_connected_agent(devices);
  for (const auto& interface : devices.children("interface"))
    signs.interfaces.push_back(read_interface(found.get(), interface));
  return signs;
}

Result<std::string> Adapter::ask_agent(std::string_view uuid, const std::string& command,
                                       std::chrono::seconds limit) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  const Text reply(
      virDomainQemuAgentCommand(found.get(), command.c_str(), static_cast<int>(limit.count()), 0));
  if (!reply)
    return fail_libvirt(fmt::format("The guest agent of the VM {} does not answer", uuid));
  return std::string(reply.get());
}

Result<std::vector<std::string>> Adapter::replug(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainIsActive(found.get()) != 1)
    return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  ASSIGN_OR_RETURN(const std::string text, domain_xml(found.get(), 0));
  ASSIGN_OR_RETURN(auto tree, xml::parse(text, "domain"));
  std::vector<std::string> done;
  for (auto& interface : tree.child("domain").child("devices").children("interface")) {
    const std::string device = interface.child("target").attribute("dev").value();
    const std::string bridge = bridge_of(interface);
    std::string said = interface.child("mac").attribute("address").value();
    if (exists(device) && !bridge.empty() && master_of(device) != bridge) {
      RETURN_IF_ERROR(put_into_bridge(device, bridge));
      said += fmt::format(" (back in the bridge {})", bridge);
    }
    RETURN_IF_ERROR(set_link(found.get(), interface, "down"));
    std::this_thread::sleep_for(kUnplugged);
    Status up = set_link(found.get(), interface, "up");
    if (!up) up = set_link(found.get(), interface, "up");
    RETURN_IF_ERROR(up);
    done.push_back(std::move(said));
  }
  return done;
}

}  // namespace drover::libvirt
