// SPDX-License-Identifier: Apache-2.0
// Definitions for tests of what they refer to: whole ones around a part of one.
#pragma once

#include <string>

namespace drover::gate::testing {

inline constexpr const char* kDefinedUuid = "01234567-89ab-cdef-0123-456789abcdef";

inline const std::string kIdentity =
    "<name>web1</name><uuid>" + std::string(kDefinedUuid) + "</uuid>";

inline std::string domain(const std::string& inside) {
  return "<domain type='kvm'>" + kIdentity + inside + "</domain>";
}

inline std::string device(const std::string& inside) {
  return domain("<devices>" + inside + "</devices>");
}

inline std::string disk(const std::string& inside, const std::string& attributes = "type='file'") {
  return device("<disk " + attributes + ">" + inside + "</disk>");
}

}  // namespace drover::gate::testing
