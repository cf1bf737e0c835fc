// SPDX-License-Identifier: Apache-2.0
// Where interfaces of VMs are plugged in at each paired host, as moves there said: the next move
// there does the same. By the host's public key: its name may change. On disk when a call returns.
// Any thread. REQUIRES: the database outlives it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "journal/database.h"
#include "model/plan.h"

namespace drover::journal {

inline constexpr std::size_t kInterfacePlacesKept = 1024;  // of each host

class InterfacePlaces {
 public:
  explicit InterfacePlaces(Database& database) : database_(&database) {}

  // Sorted by `from`.
  Result<std::vector<InterfacePlace>> of(std::string_view host_key);
  // These and no others. kInvalidArgument: too many.
  Status set(std::string_view host_key, std::span<const InterfacePlace> places);
  // These too: who is known already gets another place. kConflict: too many; nothing was changed.
  Status add(std::string_view host_key, std::span<const InterfacePlace> places);
  // Likewise, but who is known already keeps its place, and what is too much is dropped.
  Status add_unknown(std::string_view host_key, std::span<const InterfacePlace> places);

 private:
  Status put(std::string_view host_key, const InterfacePlace& place);

  Database* database_;
};

}  // namespace drover::journal
