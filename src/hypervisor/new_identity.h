// SPDX-License-Identifier: Apache-2.0
// Definitions of VMs that are made from another's: a copy with an identity of its own, and drives
// without their media. Everything else stays as it was, known to us or not. Pure but for random
// numbers; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

// A random UUID (version 4), lower-case with dashes.
std::string random_uuid();

// What libvirt lets a VM be called, and what is safe as part of a file's name: 1 to 64 bytes, no
// slash, no control character, not beginning with "." or "-".
bool is_vm_name(std::string_view name);

// Name and UUID, also where SMBIOS repeats it; a random MAC address for each interface, with the
// vendor's part of the one it had; a generation id of its own if it has one; a vsock address that
// libvirt chooses.
Result<std::string> with_identity(std::string_view xml, std::string_view name,
                                  std::string_view uuid);

// The same for a checkpoint (checkpoint_xml.h) of the VM that was made another: it gets the
// identity that `now` has in place of `before`, both definitions of the VM, interface by interface.
Result<std::string> checkpoint_with_identity(std::string_view checkpoint_xml,
                                             std::string_view before, std::string_view now);

// Only the UUID, for a definition that has none.
Result<std::string> with_uuid(std::string_view xml, std::string_view uuid);
// 36 characters as libvirt writes them: lower-case hexadecimal digits and dashes.
bool is_uuid(std::string_view text);

// Takes the media out of these drives ("sda"). kInvalidArgument: there is no such drive.
Result<std::string> without_media(std::string_view xml, std::span<const std::string> targets);

}  // namespace drover
