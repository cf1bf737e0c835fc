// SPDX-License-Identifier: Apache-2.0
// How much room a disk's image takes at once. A value.
#pragma once

#include <optional>
#include <string_view>

namespace drover {

enum class Allocation {
  kThin,  // of what holds something; zeroes take none
  kFull,  // of the whole disk, so that its guest never lacks any
};
std::string_view allocation_name(Allocation allocation);  // "thin", "full"
std::optional<Allocation> allocation_from_name(std::string_view name);

}  // namespace drover
