// SPDX-License-Identifier: Apache-2.0
#include "json/evacuation_json.h"

#include <gtest/gtest.h>

namespace drover::json {
namespace {

using namespace std::chrono_literals;

Evacuation full() {
  Evacuation job;
  job.id = "k3f9x2qa";
  job.host = "host1";
  job.request = {EvacuationKind::kReturn, {"host2"}, {"VM_PAUSED"}, "alice"};
  job.state = EvacuationState::kCancelled;
  job.keeps_out = job.cancel_asked = true;
  Evacuee vm;
  vm.uuid = "u1";
  vm.name = "web01";
  vm.source = "host1";
  vm.destination = "host2";
  vm.state = EvacueeState::kStays;
  vm.move = "m1";
  vm.attempts = 3;
  vm.why = "It is off.";
  vm.fixes = {"Start it."};
  vm.bytes = {4096};
  vm.starts_in = 1500ms;
  vm.ends_in = 2500ms;
  job.vms = {vm};
  job.troubles = {"host3: silent"};
  job.events = {"web01 stays."};
  job.explanation = "0 of 1 VMs have left host1; 1 have not.";
  job.started_at = job.planned_at = std::chrono::system_clock::time_point(1s);
  job.ended_at = std::chrono::system_clock::time_point(9s);
  return job;
}

using Json = nlohmann::json;

TEST(EvacuationJson, KeepsEveryMember) {
  const std::string text = to_json(full());
  const auto read = evacuation_from_json(text, Unknown::kRefuse);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(to_json(*read), text);
  EXPECT_EQ(read->vms[0].starts_in, 1500ms);
  EXPECT_EQ(read->request.kind, EvacuationKind::kReturn);
  EXPECT_EQ(read->ended_at, full().ended_at);
}

TEST(EvacuationJson, WhatAnEarlierVersionDidNotWriteMayBeMissing) {
  const auto read =
      evacuation_from_json(R"({"id":"a","host":"h","kind":"evacuate","state":"running","vms":[],)"
                           R"("started_at":"2026-07-25T10:00:00.000Z"})",
                           Unknown::kIgnore);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_FALSE(read->keeps_out);
}

TEST(EvacuationJson, RefusesWordsItDoesNotKnow) {
  Json tree = Json::parse(to_json(full()));
  tree["state"] = "sleeping";
  EXPECT_FALSE(evacuation_from_json(tree.dump(), Unknown::kIgnore));
  tree = Json::parse(to_json(full()));
  tree["vms"][0]["state"] = 7;
  EXPECT_FALSE(evacuation_from_json(tree.dump(), Unknown::kIgnore));
}

TEST(BestRequestJson, IsSentWithoutWhatOnlyTheDaemonSets) {
  BestRequest request;
  request.request.vm = "web01";
  request.request.requested_by = "mallory";
  request.request.passed = {"x"};
  request.request.continues = "y";
  request.among = {"host2"};
  request.after = {{"u1", "host3"}};
  const Json tree = Json::parse(request_body(request));
  for (const char* name : {"requested_by", "passed", "continues"})
    EXPECT_FALSE(tree["request"].contains(name)) << name;
  BestRequest read;
  ASSERT_TRUE(decode(tree, "", Unknown::kRefuse, read));
  EXPECT_EQ(read.among, request.among);
  EXPECT_EQ(read.after.at(0).destination, "host3");
}

}  // namespace
}  // namespace drover::json
