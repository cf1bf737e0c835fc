// SPDX-License-Identifier: Apache-2.0
// Of peer_messages.h: what is said before a move, the source's proposal and the destination's
// report.
#include <algorithm>

#include "json/model_json.h"
#include "move/item_json.h"
#include "move/message_json.h"
#include "move/peer_messages.h"
#include "move/plan/report_check.h"

namespace drover::move {
namespace {

using Object = nlohmann::json;
constexpr auto kIgnore = json::Unknown::kIgnore;

constexpr std::size_t kGuestAddressesMost = 256;

Object addresses_to_json(const std::vector<GuestAddress>& addresses) {
  Object list = Object::array();
  for (const auto& one : addresses) {
    list.push_back({{"mac", one.mac}, {"address", one.address}, {"prefix_bits", one.prefix_bits}});
  }
  return list;
}

std::vector<GuestAddress> addresses_from_json(ObjectReader& reader) {
  std::vector<GuestAddress> addresses;
  const auto* list = reader.elements("guest_addresses");
  if (list == nullptr) return addresses;
  for (const auto& element : *list) {
    if (addresses.size() == kGuestAddressesMost) break;
    auto one = ObjectReader::parse(dump(element), "guest's address");
    if (!one) {
      reader.note(one.error());
      break;
    }
    GuestAddress address{one->text("mac"), one->text("address"), 0};
    address.prefix_bits =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(one->number("prefix_bits"), 128));
    if (auto status = one->status(); !status) reader.note(status.error());
    addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace

std::string to_json(const preflight::Proposal& value) {
  return dump(Object{{"vm", embed(json::to_json(value.vm))},
                     {"live_xml", value.live_xml},
                     {"persistent_xml", value.persistent_xml},
                     {"request", embed(json::to_json(value.request))},
                     {"source", embed(json::to_json(value.source))},
                     {"marks", marks_to_json(value.marks, MarkPart::kStart)},
                     {"guest_addresses", addresses_to_json(value.guest_addresses)},
                     {"samples", samples_to_json(value.samples)},
                     {"checkpoints", checkpoints_to_json(value.checkpoints)},
                     {kBringsLayers, true}});  // report_check.h reads it
}

Result<preflight::Proposal> proposal_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "proposal"));
  preflight::Proposal value;
  value.vm = reader.take(json::vm_from_json(reader.object("vm"), kIgnore));
  value.live_xml = reader.text("live_xml");
  value.persistent_xml = reader.text("persistent_xml");
  value.request = reader.take(json::move_request_from_json(reader.object("request"), kIgnore));
  value.source = reader.take(json::host_facts_from_json(reader.object("source"), kIgnore));
  value.marks = marks_from_json(reader, "marks");
  if (reader.has("guest_addresses")) value.guest_addresses = addresses_from_json(reader);
  value.samples = samples_from_json(reader, "samples");
  value.checkpoints = checkpoints_from_json(reader, "checkpoints");
  RETURN_IF_ERROR(reader.status());
  return value;
}

// Placements travel inside a Plan: the model knows how to write that.
std::string to_json(const preflight::DestinationReport& value) {
  Plan plan;
  plan.findings = value.findings;
  plan.placements = value.placements;
  plan.files = value.files;
  plan.nvram_destination = value.nvram_destination;
  return dump(Object{{"plan", embed(json::to_json(plan))},
                     {"destination_xml", value.destination_xml},
                     {"persistent_xml", value.persistent_xml},
                     {"host", embed(json::to_json(value.host))},
                     {"marks", marks_to_json(value.marks, MarkPart::kBoth)},
                     {"checkpoints", checkpoints_to_json(value.checkpoints)},
                     {"takes_items", value.takes_items},
                     // In offline and quick moves too, as they are: report_check.h reads it.
                     {kTakesWholeFiles, value.takes_items},
                     {kTakesSavedMemory, value.takes_items}});
}

Result<preflight::DestinationReport> destination_report_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "destination's report"));
  preflight::DestinationReport value;
  Plan plan = reader.take(json::plan_from_json(reader.object("plan"), kIgnore));
  value.findings = std::move(plan.findings);
  value.placements = std::move(plan.placements);
  value.files = std::move(plan.files);
  value.nvram_destination = std::move(plan.nvram_destination);
  value.destination_xml = reader.text("destination_xml");
  value.persistent_xml = reader.text("persistent_xml");
  value.host = reader.take(json::host_facts_from_json(reader.object("host"), kIgnore));
  value.marks = marks_from_json(reader, "marks");
  value.checkpoints = checkpoints_from_json(reader, "checkpoints");
  value.takes_items = reader.flag_or_false("takes_items");
  RETURN_IF_ERROR(reader.status());
  return value;
}

}  // namespace drover::move
