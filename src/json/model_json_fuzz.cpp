// SPDX-License-Identifier: Apache-2.0
// Any bytes as any value: no crash, and what was understood survives a round trip.
#include <cstdlib>

#include "json/model_json.h"

namespace {

template <typename Parse>
void try_value(std::string_view text, Parse parse) {
  const auto value = parse(text, drover::json::Unknown::kRefuse);
  if (!value) return;
  const std::string once = drover::json::to_json(*value);
  const auto again = parse(once, drover::json::Unknown::kRefuse);
  if (!again || drover::json::to_json(*again) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace drover::json;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  try_value(text, vm_from_json);
  try_value(text, host_facts_from_json);
  try_value(text, host_settings_from_json);
  try_value(text, peer_from_json);
  try_value(text, move_request_from_json);
  try_value(text, plan_from_json);
  try_value(text, move_from_json);
  try_value(text, quarantined_disk_from_json);
  try_value(text, error_from_json);
  static_cast<void>(time_from_text(text));
  return 0;
}
