// SPDX-License-Identifier: Apache-2.0
// Devices that are taken out of a running VM and put into it again.
#include <algorithm>
#include <thread>

#include "base/deadline.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/teaming.h"

namespace drover::libvirt {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuestLetsGo = 20s;  // a guest that boots, or stands still, does not
constexpr auto kLook = 100ms;

}  // namespace

// libvirt's call ends before the guest has let the device go.
Status Adapter::unplug(std::string_view uuid, const TeamedDevice& device) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  const auto is_there = [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const std::string text, domain_xml(found.get(), VIR_DOMAIN_XML_SECURE));
    ASSIGN_OR_RETURN(const auto devices, teamed_devices(text));
    return std::ranges::find(devices, device.label, &TeamedDevice::label) != devices.end();
  };
  ASSIGN_OR_RETURN(bool there, is_there());
  if (!there) return {};
  if (virDomainDetachDeviceFlags(found.get(), device.xml.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0)
    return fail_libvirt(fmt::format("Cannot unplug {}", device.label));
  for (const Deadline limit = Deadline::after(kGuestLetsGo);;) {
    ASSIGN_OR_RETURN(there, is_there());
    if (!there) return {};
    if (limit.expired()) {
      return fail(ErrorCode::kTimeout,
                  "The guest has not let the network card {} go within {} s; it may do so later. "
                  "Fix: look whether its driver can be removed, or unplug the card by hand.",
                  device.label, kGuestLetsGo.count());
    }
    std::this_thread::sleep_for(kLook);
  }
}

Status Adapter::plug(std::string_view uuid, const TeamedDevice& device) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  ASSIGN_OR_RETURN(const std::string text, domain_xml(found.get(), VIR_DOMAIN_XML_SECURE));
  ASSIGN_OR_RETURN(const auto devices, teamed_devices(text));
  if (std::ranges::find(devices, device.label, &TeamedDevice::label) != devices.end()) return {};
  if (virDomainAttachDeviceFlags(found.get(), device.xml.c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0)
    return {};
  return fail_libvirt(fmt::format("Cannot plug {} in", device.label));
}

}  // namespace drover::libvirt
