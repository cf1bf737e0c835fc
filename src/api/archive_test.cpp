// SPDX-License-Identifier: Apache-2.0
// /v1/archives: what is taken, what is refused, who is named as the asker.
#include <gtest/gtest.h>

#include "api/test_host.h"

namespace drover::api {
namespace {

ArchiveRequest export_request() {
  ArchiveRequest request;
  request.vm = "web01";
  request.folder = "/srv/web01";
  request.requested_by = "mallory";
  return request;
}

TEST(ArchiveEndpoints, AnswerWhatTheBackendSays) {
  TestHost host("host1");
  auto client = host.local();
  const auto plan = client.plan_archive(export_request());
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->request.folder, "/srv/web01");
  EXPECT_NE(plan->request.requested_by, "mallory") << "the API says who asks";
  ArchiveRequest import = export_request();
  import.kind = ArchiveKind::kImport;
  import.mode = ImportMode::kCopy;
  import.name = "web02";
  const auto begun = client.start_archive(import);
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_EQ(begun->id, "a1");
  EXPECT_EQ(begun->request.mode, ImportMode::kCopy);
  EXPECT_EQ(client.archives()->size(), 1U);
  EXPECT_EQ(client.archive("a1")->id, "a1");
  EXPECT_EQ(client.archive("a2").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(client.cancel_archive("a1").error().code, ErrorCode::kConflict);
  EXPECT_EQ(client.give_up_archive("a1").error().code, ErrorCode::kConflict);
}

TEST(ArchiveEndpoints, RefuseWhatTheyDoNotKnow) {
  TestHost host("host1");
  auto client = host.local();
  for (const char* body :
       {"", "[]", R"({"kind":"export"})", R"({"kind":"steal","vm":"a","folder":"/x"})",
        R"({"kind":"export","vm":"a","folder":"/x","requested_by":"root"})",
        R"({"kind":"export","vm":"a","folder":"/x","name":"b"})",
        R"({"kind":"import","folder":"/x"})"}) {
    for (const char* path : {"/v1/archives", "/v1/archives/plan"}) {
      const auto answer = client.raw("POST", path, body);
      ASSERT_FALSE(answer) << body;
      EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument) << body;
    }
  }
}

TEST(ArchiveEndpoints, ACarriedWishNeedsTheRightToCommand) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(two, one));
  auto carried = one.local("host2");
  EXPECT_EQ(carried.start_archive(export_request()).error().code, ErrorCode::kPermission);
  EXPECT_EQ(carried.cancel_archive("a1").error().code, ErrorCode::kPermission);
  EXPECT_EQ(carried.give_up_archive("a1").error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace drover::api
