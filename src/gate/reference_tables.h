// SPDX-License-Identifier: Apache-2.0
// What the walker of gate/host_references.cpp knows of libvirt's domain XML, as data. Paths are
// written from below <domain>; "*" stands for one element. Layers of a disk's chain (backingStore,
// mirror, dataStore) are left out of paths. Internal to gate/.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "gate/definition_policy.h"

namespace drover::gate {

// "devices/disk/source@file" or "os/kernel#": what the value refers to; nothing: not in the table.
std::optional<ReferenceKind> simple_reference(std::string_view place);

// Attributes and texts that look like references, but mean nothing to the host.
bool is_harmless_place(std::string_view place);

// Below <devices>: elements and attributes that mean nothing to the host wherever they stand.
bool is_harmless_device_element(std::string_view name);
bool is_harmless_device_attribute(std::string_view name);

// Outside <devices>: what may stand below <domain>, <os> and so on; false for unknown elements.
bool is_known_element(std::string_view path);
// Outside <devices>: names that would be references wherever they stand.
bool is_suspicious_attribute(std::string_view name);

// "a/*/c" matches "a/b/c".
bool path_matches(std::string_view pattern, std::string_view path);

}  // namespace drover::gate
