// SPDX-License-Identifier: Apache-2.0
#include "move/peer_messages.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/random.h"
#include "json/model_json.h"
#include "move/item_json.h"
#include "move/message_json.h"

namespace drover::move {
namespace {

using Object = nlohmann::json;
constexpr auto kIgnore = json::Unknown::kIgnore;

constexpr std::array<std::pair<Answer::Kind, std::string_view>, 4> kKinds{
    {{Answer::Kind::kRefused, "refused"},
     {Answer::Kind::kPending, "pending"},
     {Answer::Kind::kRuns, "runs"},
     {Answer::Kind::kGone, "gone"}}};
constexpr std::array<std::pair<Answer::Ran, std::string_view>, 3> kRan{
    {{Answer::Ran::kNo, "no"}, {Answer::Ran::kYes, "yes"}, {Answer::Ran::kUnknown, "unknown"}}};

template <typename Table, typename T>
std::string_view name_of(const Table& table, T value) {
  for (const auto& [key, name] : table) {
    if (key == value) return name;
  }
  return table.back().second;
}

// A word nobody knows is an error, never a default: it might mean that the guest runs.
template <typename Table>
auto value_of(const Table& table, ObjectReader& reader, const char* member) {
  const std::string word = reader.text(member);
  for (const auto& [key, name] : table) {
    if (name == word) return key;
  }
  reader.note(Error{ErrorCode::kProtocol,
                    Retry::kNever,
                    fmt::format("{} is \"{}\", which nobody knows.", member, word),
                    {}});
  return table.front().first;
}

}  // namespace

std::string to_json(const MoveName& value) { return dump(Object{{"move", value.move}}); }

Result<MoveName> move_name_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "move's name"));
  MoveName value{reader.text("move")};
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const AdmitRequest& value) {
  return dump(Object{{"move", value.move}, {"give_back", value.give_back}, {"rests", value.rests}});
}

Result<AdmitRequest> admit_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "request for a place"));
  AdmitRequest value{reader.text("move"), reader.flag("give_back"), reader.flag_or_false("rests")};
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const AdmitReply& value) {
  return dump(Object{{"granted", value.granted}, {"text", value.text}});
}

Result<AdmitReply> admit_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer about a place"));
  AdmitReply value{reader.flag("granted"), reader.text("text")};
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const ReserveRequest& value) {
  return dump(Object{{"move", value.move},
                     {"epoch", value.epoch},
                     {"plan", embed(json::to_json(value.plan))},
                     {"destination_xml", value.destination_xml},
                     {"persistent_xml", value.persistent_xml},
                     {"link_key", value.link_key},
                     {"link_identity", value.link_identity},
                     {"marks", marks_to_json(value.marks, MarkPart::kBoth)},
                     {"checkpoints", checkpoints_to_json(value.checkpoints)}});
}

Result<ReserveRequest> reserve_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "reservation"));
  ReserveRequest value;
  value.move = reader.text("move");
  value.epoch = reader.text("epoch");
  value.plan = reader.take(json::plan_from_json(reader.object("plan"), kIgnore));
  value.destination_xml = reader.text("destination_xml");
  value.persistent_xml = reader.text("persistent_xml");
  value.link_key = reader.text("link_key");
  value.link_identity = reader.text("link_identity");
  value.marks = marks_from_json(reader, "marks");
  value.checkpoints = checkpoints_from_json(reader, "checkpoints");
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const FileRequest& value) {
  return dump(Object{{"move", value.move}, {"path", value.path}, {"digest", value.digest}});
}

Result<FileRequest> file_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "question about a file"));
  FileRequest value{reader.text("move"), reader.text("path"), reader.text("digest")};
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const Answer& value) {
  Object out{{"answer", name_of(kKinds, value.kind)},
             {"ran", name_of(kRan, value.ran)},
             {"domain_id", std::max(value.domain_id, 0)},
             {"text", value.text}};
  if (value.failed) out["failed"] = embed(json::to_json(*value.failed));
  return dump(out);
}

Result<Answer> answer_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer"));
  Answer value;
  value.kind = value_of(kKinds, reader, "answer");
  value.ran = value_of(kRan, reader, "ran");
  value.domain_id = static_cast<std::int32_t>(reader.number("domain_id"));
  value.text = reader.text("text");
  if (reader.has("failed"))
    value.failed = reader.take(json::error_from_json(reader.object("failed"), kIgnore));
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const VerifyReply& value) {
  return dump(Object{
      {"runs", value.runs},
      {"text", value.text},
      {"pause_ms", static_cast<std::uint64_t>(std::max<std::int64_t>(value.pause.count(), 0))},
      {"memory_sent_bytes", value.memory_sent.bytes},
      {"disks_sent_bytes", value.disks_sent.bytes},
      {"checkpoints_lost", value.checkpoints_lost}});
}

Result<VerifyReply> verify_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "verification"));
  VerifyReply value;
  value.runs = reader.flag("runs");
  value.text = reader.text("text");
  value.pause = std::chrono::milliseconds(static_cast<std::int64_t>(reader.number("pause_ms")));
  value.memory_sent = {reader.number("memory_sent_bytes")};
  value.disks_sent = {reader.number("disks_sent_bytes")};
  if (reader.has("checkpoints_lost")) value.checkpoints_lost = reader.text("checkpoints_lost");
  RETURN_IF_ERROR(reader.status());
  return value;
}

namespace {

using With = ProveRequest::With;
constexpr std::array kWiths{std::pair{With::kGiven, "given"}, std::pair{With::kRead, "read"},
                            std::pair{With::kReadBlock, "read-block"}};

Result<With> with_of(const std::string& text) {
  for (const auto& [value, name] : kWiths)
    if (name == text) return value;
  return fail(ErrorCode::kProtocol, "A proof compares with '{}', which is unknown.", text);
}

}  // namespace

std::string to_json(const ProveRequest& value) {
  const std::span<const content::Name> names(value.names);
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(names.data()), names.size_bytes());
  return dump(Object{{"move", value.move},
                     {"with", kWiths[static_cast<std::size_t>(value.with)].second},
                     {"target", value.target},
                     {"first", value.first},
                     {"names", to_hex(bytes)}});
}

Result<ProveRequest> prove_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "proof"));
  ProveRequest value;
  value.move = reader.text("move");
  value.with = reader.take(with_of(reader.text("with")));
  value.target = reader.text("target");
  value.first = reader.number("first");
  const auto bytes = reader.take(from_hex(reader.text("names")));
  RETURN_IF_ERROR(reader.status());
  if (bytes.size() % sizeof(content::Name) != 0 ||
      bytes.size() / sizeof(content::Name) > kProveNamesMax) {
    return fail(ErrorCode::kProtocol, "names of the proof are not at most {} names.",
                kProveNamesMax);
  }
  value.names.resize(bytes.size() / sizeof(content::Name));
  for (std::size_t i = 0; i < value.names.size(); ++i)
    std::copy_n(&bytes[i * sizeof(content::Name)], sizeof(content::Name), value.names[i].begin());
  return value;
}

std::string to_json(const ProveReply& value) {
  return dump(Object{{"different", value.different},
                     {"excluded", value.excluded},
                     {"unproven", value.unproven},
                     {"text", value.text}});
}

Result<ProveReply> prove_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer to a proof"));
  ProveReply value;
  if (const auto* different = reader.elements("different")) {
    for (const auto& chunk : *different) {
      if (!chunk.is_number_unsigned())
        return fail(ErrorCode::kProtocol, "different of the answer to a proof is not numbers.");
      value.different.push_back(chunk.get<std::uint64_t>());
    }
  }
  value.excluded = reader.number("excluded");
  value.unproven = reader.number("unproven");
  value.text = reader.text("text");
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const CheckReply& value) {
  return dump(Object{{"time", json::time_text(value.time)},
                     {"version", value.version},
                     {"may_send", value.may_send}});
}

Result<CheckReply> check_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer to the doctor"));
  CheckReply value;
  const std::string time = reader.text("time");
  value.version = reader.text("version");
  value.may_send = reader.flag("may_send");
  RETURN_IF_ERROR(reader.status());
  const auto read = json::time_from_text(time);
  if (!read) return fail(ErrorCode::kProtocol, "{}", read.error().message);
  value.time = *read;
  return value;
}

std::string to_json(const ArriveRequest& value) {
  Object files = Object::array();
  for (const auto& file : value.files)
    files.push_back({{"item", file.item}, {"sha256", file.sha256}});
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(value.state_head.data()),
                        value.state_head.size());
  return dump(
      Object{{"move", value.move}, {"files", std::move(files)}, {"state_head", to_hex(bytes)}});
}

Result<ArriveRequest> arrive_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "handing over"));
  ArriveRequest value;
  value.move = reader.text("move");
  if (const auto* files = reader.elements("files")) {
    for (const auto& element : *files) {
      ASSIGN_OR_RETURN(ObjectReader file, ObjectReader::parse(element.dump(), "file"));
      value.files.push_back({file.text("item"), file.text("sha256")});
      RETURN_IF_ERROR(file.status());
    }
  }
  const std::string hex = reader.text("state_head");
  RETURN_IF_ERROR(reader.status());
  if (hex.size() > 2 * kStateHeadMax)
    return fail(ErrorCode::kProtocol, "The head of a saved state is too long.");
  const auto bytes = from_hex(hex);
  if (!bytes) return fail(ErrorCode::kProtocol, "The head of a saved state is not hexadecimal.");
  value.state_head.assign(bytes->begin(), bytes->end());
  return value;
}

std::string to_json(const SpaceReply& value) {
  return dump(Object{{"free_bytes", value.free.bytes},
                     {"reserve_bytes", value.reserve.bytes},
                     {"patience_seconds", value.patience.count()},
                     {"folder", value.folder}});
}

Result<SpaceReply> space_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "answer about space"));
  SpaceReply value;
  value.free.bytes = reader.number("free_bytes");
  value.reserve.bytes = reader.number("reserve_bytes");
  const std::uint64_t patience = reader.number("patience_seconds");
  value.patience = std::chrono::seconds(
      std::min<std::uint64_t>(patience, static_cast<std::uint64_t>(kSpacePatienceMost.count())));
  value.folder = reader.text("folder");
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const SignsRequest& value) {
  Object out{{"move", value.move}};
  if (value.clock_ahead_ms) out["clock_ahead_ms"] = *value.clock_ahead_ms;
  return dump(out);
}

Result<SignsRequest> signs_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "question how the guest does"));
  SignsRequest value{reader.text("move")};
  if (reader.has("clock_ahead_ms")) value.clock_ahead_ms = reader.signed_number("clock_ahead_ms");
  RETURN_IF_ERROR(reader.status());
  return value;
}

std::string to_json(const SettleRequest& value) {
  return dump(Object{{"move", value.move}, {"autostart", value.autostart}});
}

Result<SettleRequest> settle_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "settlement"));
  SettleRequest value{reader.text("move"), reader.flag("autostart")};
  RETURN_IF_ERROR(reader.status());
  return value;
}

}  // namespace drover::move
