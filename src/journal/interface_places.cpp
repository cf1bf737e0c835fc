// SPDX-License-Identifier: Apache-2.0
#include "journal/interface_places.h"

#include <algorithm>

namespace drover::journal {

Result<std::vector<InterfacePlace>> InterfacePlaces::of(std::string_view host_key) {
  ASSIGN_OR_RETURN(Statement rows,
                   database_->prepare("SELECT place_from, place_to FROM interface_places WHERE "
                                      "host_key = ?1 ORDER BY place_from"));
  rows.bind(1, host_key);
  std::vector<InterfacePlace> places;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return places;
    places.push_back({rows.text(0), rows.text(1)});
  }
}

Status InterfacePlaces::put(std::string_view host_key, const InterfacePlace& place) {
  ASSIGN_OR_RETURN(Statement statement,
                   database_->prepare("INSERT OR REPLACE INTO interface_places (host_key, "
                                      "place_from, place_to) VALUES (?1, ?2, ?3)"));
  return statement.bind(1, host_key).bind(2, place.from).bind(3, place.to).run();
}

Status InterfacePlaces::set(std::string_view host_key, std::span<const InterfacePlace> places) {
  if (places.size() > kInterfacePlacesKept) {
    return fail(ErrorCode::kInvalidArgument, "Of one host at most {} interfaces are remembered.",
                kInterfacePlacesKept);
  }
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::begin(*database_));
  {
    ASSIGN_OR_RETURN(Statement statement,
                     database_->prepare("DELETE FROM interface_places WHERE host_key = ?1"));
    RETURN_IF_ERROR(statement.bind(1, host_key).run());
  }
  for (const auto& place : places) RETURN_IF_ERROR(put(host_key, place));
  return transaction.commit();
}

Status InterfacePlaces::add(std::string_view host_key, std::span<const InterfacePlace> places) {
  if (places.empty()) return {};
  ASSIGN_OR_RETURN(auto all, of(host_key));
  for (const auto& place : places) {
    const auto known = std::ranges::find(all, place.from, &InterfacePlace::from);
    if (known != all.end())
      *known = place;
    else
      all.push_back(place);
  }
  if (all.size() > kInterfacePlacesKept) {
    return fail(ErrorCode::kConflict,
                "More than {} interfaces would be remembered of that host. Fix: drover host "
                "networks HOST --forget FROM.",
                kInterfacePlacesKept);
  }
  return set(host_key, all);
}

Status InterfacePlaces::add_unknown(std::string_view host_key,
                                    std::span<const InterfacePlace> places) {
  ASSIGN_OR_RETURN(auto all, of(host_key));
  const std::size_t before = all.size();
  for (const auto& place : places) {
    const bool known = std::ranges::find(all, place.from, &InterfacePlace::from) != all.end();
    if (!known && all.size() < kInterfacePlacesKept) all.push_back(place);
  }
  if (all.size() == before) return {};
  return set(host_key, all);
}

}  // namespace drover::journal
