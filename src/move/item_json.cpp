// SPDX-License-Identifier: Apache-2.0
#include "move/item_json.h"

namespace drover::move {
namespace {

using Object = nlohmann::json;

// Calls `take` with each element; an element that is wrong is noted.
template <typename Take>
void each(ObjectReader& reader, const char* member, const char* what, Take take) {
  if (!reader.has(member)) return;
  const auto* list = reader.elements(member);
  if (list == nullptr) return;
  for (const auto& element : *list) {
    auto one = ObjectReader::parse(element.dump(), what);
    if (!one) return reader.note(one.error());
    take(*one);
    if (auto status = one->status(); !status) return reader.note(status.error());
  }
}

}  // namespace

Object checkpoints_to_json(const std::vector<CheckpointText>& checkpoints) {
  Object list = Object::array();
  for (const CheckpointText& one : checkpoints)
    list.push_back({{"name", one.name}, {"xml", one.xml}, {"current", one.current}});
  return list;
}

std::vector<CheckpointText> checkpoints_from_json(ObjectReader& reader, const char* member) {
  std::vector<CheckpointText> checkpoints;
  each(reader, member, "checkpoint", [&](ObjectReader& one) {
    checkpoints.push_back({one.text("name"), one.text("xml"), one.flag("current")});
  });
  return checkpoints;
}

Object samples_to_json(const std::vector<preflight::FileSample>& samples) {
  Object list = Object::array();
  for (const preflight::FileSample& one : samples) {
    list.push_back(
        {{"path", one.path}, {"length_bytes", one.length.bytes}, {"digest", one.digest}});
  }
  return list;
}

std::vector<preflight::FileSample> samples_from_json(ObjectReader& reader, const char* member) {
  std::vector<preflight::FileSample> samples;
  each(reader, member, "sample of a file", [&](ObjectReader& one) {
    samples.push_back({one.text("path"), {one.number("length_bytes")}, one.text("digest")});
  });
  return samples;
}

Object marks_to_json(const std::vector<preflight::DiskMark>& marks, MarkPart part) {
  Object list = Object::array();
  for (const preflight::DiskMark& mark : marks) {
    Object one{{"target", mark.target}, {"start", mark.where.start}};
    if (part == MarkPart::kBoth) one["length"] = mark.where.length;
    list.push_back(std::move(one));
  }
  return list;
}

std::vector<preflight::DiskMark> marks_from_json(ObjectReader& reader, const char* member) {
  std::vector<preflight::DiskMark> marks;
  each(reader, member, "mark", [&](ObjectReader& one) {
    marks.push_back({one.text("target"), {one.number("start"), 0}});
    if (one.has("length")) marks.back().where.length = one.number("length");
  });
  return marks;
}

}  // namespace drover::move
