// SPDX-License-Identifier: Apache-2.0
#include "json/archive_json.h"

#include <gtest/gtest.h>

namespace drover::json {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

Archive full(ArchiveKind kind) {
  Archive job;
  job.id = "k3f9x2qa";
  job.host = "host1";
  job.request.kind = kind;
  job.request.folder = "/srv/exports/web01";
  if (kind == ArchiveKind::kExport) {
    job.request.vm = "web01";
    job.request.bandwidth = {1000};
  } else {
    job.request.mode = ImportMode::kCopy;
    job.request.name = "web02";
    job.request.disks_to = "/srv/fast";
  }
  job.request.accepted_codes = {"NOT_VERIFIED"};
  job.request.requested_by = "alice";
  job.state = ArchiveState::kFailed;
  job.vm_uuid = "u1";
  job.vm_name = "web02";
  job.verified = true;
  job.findings.emplace_back().code = "NOT_VERIFIED";
  job.items = {{"vda", "vda.qcow2", "/srv/fast/web02-vda.qcow2", "qcow2", {4096}, {512}, "ab"}};
  job.doing = "Copying vda.";
  job.bytes_done = {1};
  job.bytes_total = {2};
  job.cancel_asked = true;
  job.explanation = "It failed.";
  job.error = Error{ErrorCode::kConflict, Retry::kNever, "Something.", {}};
  job.started_at = std::chrono::system_clock::time_point(1s);
  job.ended_at = std::chrono::system_clock::time_point(9s);
  return job;
}

TEST(ArchiveJson, KeepsEveryMember) {
  for (const ArchiveKind kind : {ArchiveKind::kExport, ArchiveKind::kImport}) {
    const std::string text = to_json(full(kind));
    const auto read = archive_from_json(text, Unknown::kRefuse);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(to_json(*read), text);
    EXPECT_EQ(read->request.requested_by, "alice");
    EXPECT_EQ(read->items[0].virtual_size.bytes, 4096u);
    EXPECT_EQ(read->ended_at, full(kind).ended_at);
  }
}

Status read_request(const char* text) {
  ArchiveRequest request;
  return decode(Json::parse(text), "", Unknown::kRefuse, request);
}

TEST(ArchiveJson, ARequestHasOnlyWhatBelongsToItsKind) {
  EXPECT_TRUE(read_request(R"({"kind":"export","vm":"web01","folder":"/x"})"));
  EXPECT_TRUE(read_request(R"({"kind":"import","mode":"copy","name":"a","folder":"/x"})"));
  for (const char* wrong : {
           R"({"kind":"export","folder":"/x"})",
           R"({"kind":"export","vm":"web01","mode":"copy","folder":"/x"})",
           R"({"kind":"import","folder":"/x"})",
           R"({"kind":"import","mode":"copy","vm":"web01","folder":"/x"})",
           R"({"kind":"import","mode":"steal","folder":"/x"})",
           R"({"kind":"import","mode":"copy","folder":"/x","requested_by":"root"})",
       }) {
    const auto read = read_request(wrong);
    ASSERT_FALSE(read) << wrong;
    EXPECT_EQ(read.error().code, ErrorCode::kProtocol) << wrong;
  }
}

TEST(ArchiveJson, ARequestSurvivesTheWire) {
  const ArchiveRequest sent = full(ArchiveKind::kImport).request;
  ArchiveRequest got;
  ASSERT_TRUE(decode(Json::parse(request_body(sent)), "", Unknown::kRefuse, got));
  EXPECT_EQ(request_body(got), request_body(sent));
  EXPECT_TRUE(got.requested_by.empty());
}

}  // namespace
}  // namespace drover::json
