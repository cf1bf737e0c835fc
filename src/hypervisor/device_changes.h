// SPDX-License-Identifier: Apache-2.0
// What was plugged into a VM, taken out or changed between two of its definitions. Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace drover {

// A sentence a device, disks apart. What changes by itself while the guest works (whether an agent
// listens, how much of a memory device is used) is no change. Of texts that cannot be read nothing
// is said.
std::vector<std::string> device_changes(std::string_view before_xml, std::string_view now_xml);

}  // namespace drover
