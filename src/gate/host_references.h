// SPDX-License-Identifier: Apache-2.0
// The references of a definition that is parsed already. Internal to gate/; others use
// host_references in gate/definition_policy.h.
#pragma once

#include <vector>

#include "gate/definition_policy.h"
#include "gate/strict_xml.h"

namespace drover::gate {

// REQUIRES: `domain` comes from parse_strictly.
std::vector<HostReference> references_of(const pugi::xml_node& domain);

// Name, UUID, references; what check_domain does with text.
Status check_domain_element(const pugi::xml_node& domain, const Policy& policy,
                            const PathChecker& check_path);

}  // namespace drover::gate
