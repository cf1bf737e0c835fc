// SPDX-License-Identifier: Apache-2.0
#include "json/model_json.h"
#include "move/item_json.h"
#include "move/job.h"
#include "move/message_json.h"

namespace drover::move {
namespace {

using Object = nlohmann::json;
constexpr auto kIgnore = json::Unknown::kIgnore;

Object files_to_json(const std::vector<KnownFile>& files) {
  Object list = Object::array();
  for (const auto& file : files) {
    list.push_back({{"target", file.target},
                    {"path", file.path},
                    {"device", file.device},
                    {"inode", file.inode},
                    {"born_ns", file.born_ns},
                    {"boot", file.boot},
                    {"pool", file.pool},
                    {"key", file.key}});
  }
  return list;
}

std::vector<KnownFile> files_from_json(ObjectReader& reader, const char* member) {
  std::vector<KnownFile> files;
  const auto* list = reader.elements(member);
  if (list == nullptr) return files;
  for (const auto& element : *list) {
    auto file = ObjectReader::parse(element.dump(), "file");
    if (!file) {
      reader.note(file.error());
      return files;
    }
    KnownFile known{file->text("target"),
                    file->text("path"),
                    file->number("device"),
                    file->number("inode"),
                    0,
                    ""};
    // Earlier versions knew no more.
    if (file->has("born_ns")) known.born_ns = file->number("born_ns");
    if (file->has("boot")) known.boot = file->text("boot");
    if (file->has("pool")) known.pool = file->text("pool");
    if (file->has("key")) known.key = file->text("key");
    files.push_back(std::move(known));
    if (auto status = file->status(); !status) reader.note(status.error());
  }
  return files;
}

Object stamps_to_json(const std::vector<ImageStamp>& stamps) {
  Object list = Object::array();
  for (const auto& stamp : stamps) {
    list.push_back(
        {{"path", stamp.path}, {"size_bytes", stamp.size_bytes}, {"written_ns", stamp.written_ns}});
  }
  return list;
}

std::vector<ImageStamp> stamps_from_json(ObjectReader& reader, const char* member) {
  std::vector<ImageStamp> stamps;
  const auto* list = reader.elements(member);
  if (list == nullptr) return stamps;
  for (const auto& element : *list) {
    auto stamp = ObjectReader::parse(element.dump(), "image");
    if (!stamp) {
      reader.note(stamp.error());
      return stamps;
    }
    stamps.push_back(
        {stamp->text("path"), stamp->number("size_bytes"), stamp->signed_number("written_ns")});
    if (auto status = stamp->status(); !status) reader.note(status.error());
  }
  return stamps;
}

std::vector<std::string> texts_from_json(ObjectReader& reader, const char* member) {
  std::vector<std::string> texts;
  const auto* list = reader.elements(member);
  if (list == nullptr) return texts;
  for (const auto& element : *list) {
    if (!element.is_string()) {
      reader.note(Error{ErrorCode::kProtocol,
                        Retry::kNever,
                        fmt::format("{} must be a list of texts.", member),
                        {}});
      return texts;
    }
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

}  // namespace

KnownFile known_file(std::string target, std::string path, const FileIdentity& identity) {
  return {std::move(target),
          std::move(path),
          identity.device,
          identity.inode,
          identity.born_ns,
          identity.boot,
          {},
          {}};
}

FileIdentity identity_of(const KnownFile& file) {
  return {file.device, file.inode, file.born_ns, file.boot};
}

std::string to_json(const SourceJob& job) {
  return dump(Object{{"move", embed(json::to_json(job.move))},
                     {"persistent_xml", job.persistent_xml},
                     {"destination_xml", job.destination_xml},
                     {"destination_persistent_xml", job.destination_persistent_xml},
                     {"saved_xml", job.saved_xml},
                     {"autostart", job.autostart},
                     {"autostart_cleared", job.autostart_cleared},
                     {"carriers_started", job.carriers_started},
                     {"migrate_called", job.migrate_called},
                     {"reserved", job.reserved},
                     {"left_epoch", job.left_epoch},
                     {"abandon", job.abandon},
                     {"refusal_proven", job.refusal_proven},
                     {"undefined", job.undefined},
                     {"save_called", job.save_called},
                     {"restore_called", job.restore_called},
                     {"saved_images", stamps_to_json(job.saved_images)},
                     {"files", files_to_json(job.files)},
                     {"fence_image", files_to_json({job.fence_image})},
                     {"layers", files_to_json(job.layers)},
                     {"checkpoints", checkpoints_to_json(job.checkpoints)},
                     {"destination_checkpoints", checkpoints_to_json(job.destination_checkpoints)},
                     {"checkpoints_forgotten", job.checkpoints_forgotten},
                     {"unplugged", job.unplugged},
                     {"ejected", files_to_json(job.ejected)},
                     {"ejected_next", files_to_json(job.ejected_next)},
                     {"created", files_to_json(job.created)},
                     {"begun", job.begun},
                     {"switched", job.switched}});
}

Result<SourceJob> source_job_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "source's job"));
  SourceJob job;
  job.move = reader.take(json::move_from_json(reader.object("move"), kIgnore));
  job.persistent_xml = reader.text("persistent_xml");
  job.destination_xml = reader.text("destination_xml");
  job.destination_persistent_xml = reader.text("destination_persistent_xml");
  if (reader.has("saved_xml")) job.saved_xml = reader.text("saved_xml");
  job.autostart = reader.flag("autostart");
  job.autostart_cleared = reader.flag("autostart_cleared");
  job.carriers_started = reader.flag("carriers_started");
  job.migrate_called = reader.flag("migrate_called");
  job.reserved = reader.flag("reserved");
  job.abandon = reader.flag_or_false("abandon");
  if (reader.has("left_epoch")) job.left_epoch = reader.text("left_epoch");
  job.refusal_proven = reader.flag("refusal_proven");
  job.undefined = reader.flag_or_false("undefined");
  job.save_called = reader.flag_or_false("save_called");
  job.restore_called = reader.flag_or_false("restore_called");
  if (reader.has("saved_images")) job.saved_images = stamps_from_json(reader, "saved_images");
  job.files = files_from_json(reader, "files");
  // Earlier versions knew none.
  if (reader.has("fence_image")) {
    const auto images = files_from_json(reader, "fence_image");
    if (images.size() == 1) job.fence_image = images.front();
  }
  if (reader.has("layers")) job.layers = files_from_json(reader, "layers");
  job.checkpoints = checkpoints_from_json(reader, "checkpoints");
  job.destination_checkpoints = checkpoints_from_json(reader, "destination_checkpoints");
  job.checkpoints_forgotten = reader.flag_or_false("checkpoints_forgotten");
  if (reader.has("unplugged")) job.unplugged = texts_from_json(reader, "unplugged");
  if (reader.has("ejected")) job.ejected = files_from_json(reader, "ejected");
  if (reader.has("ejected_next")) job.ejected_next = files_from_json(reader, "ejected_next");
  // They knew live moves only.
  if (reader.has("created")) {
    job.created = files_from_json(reader, "created");
    job.begun = texts_from_json(reader, "begun");
    job.switched = texts_from_json(reader, "switched");
  }
  RETURN_IF_ERROR(reader.status());
  return job;
}

std::string to_json(const DestinationJob& job) {
  return dump(Object{{"move", job.move_id},
                     {"epoch", job.epoch},
                     {"peer", job.peer},
                     {"plan", embed(json::to_json(job.plan))},
                     {"destination_xml", job.destination_xml},
                     {"persistent_xml", job.persistent_xml},
                     {"checkpoints", checkpoints_to_json(job.checkpoints)},
                     {"link_key", job.link_key},
                     {"link_identity", job.link_identity},
                     {"prepared", job.prepared},
                     {"recorded", job.recorded},
                     {"settled", job.settled},
                     {"never_ran", job.never_ran},
                     {"unwatched", job.unwatched},
                     {"undoing", job.undoing},
                     {"undone", job.undone},
                     {"abandoned", job.abandoned},
                     {"defined", job.defined},
                     {"restore_called", job.restore_called},
                     {"restored", job.restored},
                     {"created", files_to_json(job.created)}});
}

Result<DestinationJob> destination_job_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(ObjectReader reader, ObjectReader::parse(text, "destination's job"));
  DestinationJob job;
  job.move_id = reader.text("move");
  job.epoch = reader.text("epoch");
  job.peer = reader.text("peer");
  job.plan = reader.take(json::plan_from_json(reader.object("plan"), kIgnore));
  job.destination_xml = reader.text("destination_xml");
  job.persistent_xml = reader.text("persistent_xml");
  job.checkpoints = checkpoints_from_json(reader, "checkpoints");
  job.link_key = reader.text("link_key");
  job.link_identity = reader.text("link_identity");
  job.prepared = reader.flag("prepared");
  // Earlier versions did not say it: then it is not known, and there may be.
  job.recorded = !reader.has("recorded") || reader.flag("recorded");
  job.settled = reader.flag("settled");
  job.never_ran = reader.flag_or_false("never_ran");
  job.unwatched = reader.flag_or_false("unwatched");
  job.undoing = reader.flag_or_false("undoing");
  job.undone = reader.flag("undone");
  job.abandoned = reader.flag_or_false("abandoned");
  job.defined = reader.flag_or_false("defined");
  job.restore_called = reader.flag_or_false("restore_called");
  job.restored = reader.flag_or_false("restored");
  job.created = files_from_json(reader, "created");
  RETURN_IF_ERROR(reader.status());
  return job;
}

}  // namespace drover::move
