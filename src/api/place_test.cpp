// SPDX-License-Identifier: Apache-2.0
// /v1/best and /v1/evacuations: what is taken, what is refused, who is named as the asker.
#include <gtest/gtest.h>

#include "api/test_host.h"

namespace drover::api {
namespace {

TEST(PlaceEndpoints, AnswerWhatTheBackendSays) {
  TestHost host("host1");
  auto client = host.local();
  BestRequest best;
  best.request.vm = "web01";
  best.among = {"host7"};
  const auto choice = client.best_host(best);
  ASSERT_TRUE(choice) << choice.error().text();
  EXPECT_EQ(choice->hosts.at(0).host, "host7");
  ASSERT_TRUE(choice->plan);
  EXPECT_FALSE(choice->plan->request.requested_by.empty());

  const EvacuationRequest request{EvacuationKind::kReturn, {"host2"}, {"VM_PAUSED"}, "mallory"};
  const auto plan = client.plan_evacuation(request);
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->request.kind, EvacuationKind::kReturn);
  EXPECT_EQ(plan->request.accepted_codes, request.accepted_codes);
  EXPECT_NE(plan->request.requested_by, "mallory") << "the API says who asks";
  EXPECT_EQ(client.start_evacuation(request)->id, "e1");
  EXPECT_EQ(client.evacuations()->size(), 1U);
  EXPECT_EQ(client.cancel_evacuation().error().code, ErrorCode::kConflict);
}

TEST(PlaceEndpoints, RefuseWhatTheyDoNotKnow) {
  TestHost host("host1");
  auto client = host.local();
  const auto code = [&](const char* path, const char* body) {
    const auto answer = client.raw("POST", path, body);
    return answer ? ErrorCode::kInternal : answer.error().code;
  };
  const char* move = "/v1/moves";
  for (const char* body : {R"({"vm":"a","destination":"b","passed":["x"]})",
                           R"({"vm":"a","destination":"b","continues":"x"})"})
    EXPECT_EQ(code(move, body), ErrorCode::kInvalidArgument) << body;
  for (const char* body :
       {R"({})", R"({"request":{"vm":"a","destination":"","requested_by":"x"}})",
        R"({"request":{"vm":"a","destination":""},"amongst":[]})",
        R"({"request":{"vm":"a","destination":""},"after":[{"vm":"b"}]})", "[1]"})
    EXPECT_EQ(code("/v1/best", body), ErrorCode::kInvalidArgument) << body;
  for (const char* body : {R"({"kind":"explode"})", R"({"to":"host2"})",
                           R"({"requested_by":"root"})", R"({"host":"host1"})", ""})
    EXPECT_EQ(code("/v1/evacuations", body), ErrorCode::kInvalidArgument) << body;
}

TEST(PlaceEndpoints, ACarriedWishNeedsTheRightToCommand) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(two, one));
  auto carried = one.local("host2");
  EXPECT_EQ(carried.start_evacuation({}).error().code, ErrorCode::kPermission);
  ASSERT_TRUE(two.local().set_rights("host1", {true, true, true, false}));
  const auto started = carried.start_evacuation({});
  ASSERT_TRUE(started) << started.error().text();
  EXPECT_NE(started->request.requested_by.find("@host1"), std::string::npos);
}

}  // namespace
}  // namespace drover::api
