// SPDX-License-Identifier: Apache-2.0
#include "move/peer_messages.h"

#include <gtest/gtest.h>

#include "move/job.h"

namespace drover::move {
namespace {

Plan sample_plan() {
  Plan plan;
  plan.id = "p1";
  plan.vm.uuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
  plan.vm.name = "büro vm";
  plan.request.vm = plan.vm.name;
  plan.placements = {{"vda", "/a/x.qcow2", "/b/x.qcow2", "qcow2", gib(1), mib(300), kib(64)}};
  plan.nvram_destination = "/var/lib/libvirt/qemu/nvram/x_VARS.fd";
  plan.findings = {{"DISK_EXISTS",
                    FindingLevel::kBlocker,
                    "vda",
                    "It is there.",
                    "It would be lost.",
                    {"Move it."}}};
  return plan;
}

TEST(PeerMessages, ReserveSurvivesTheRoad) {
  const ReserveRequest sent{"k3f9x2qa",           "k3f9x2qa", sample_plan(), "<domain/>",
                            "<domain>2</domain>", "00ff",     "id"};
  const auto got = reserve_request_from_json(to_json(sent));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->plan.vm.name, "büro vm");
  EXPECT_EQ(got->plan.placements.at(0).cluster_size, kib(64));
  EXPECT_EQ(got->persistent_xml, "<domain>2</domain>");
  EXPECT_EQ(got->link_key, "00ff");
}

TEST(PeerMessages, EveryAnswerSurvivesTheRoad) {
  for (const auto kind :
       {Answer::Kind::kRefused, Answer::Kind::kPending, Answer::Kind::kRuns, Answer::Kind::kGone}) {
    for (const auto ran : {Answer::Ran::kNo, Answer::Ran::kYes, Answer::Ran::kUnknown}) {
      const auto got = answer_from_json(to_json(Answer{kind, ran, 7, "why"}));
      ASSERT_TRUE(got);
      EXPECT_EQ(got->kind, kind);
      EXPECT_EQ(got->ran, ran);
      EXPECT_EQ(got->domain_id, 7);
    }
  }
}

TEST(PeerMessages, WhatCouldNotBeWrittenSurvivesTheRoad) {
  Answer sent{Answer::Kind::kPending, {}, 0, "why"};
  EXPECT_FALSE(answer_from_json(to_json(sent))->failed);
  sent.failed = Error{ErrorCode::kNoSpace,
                      Retry::kLater,
                      "Cannot write /a: No space left on device.",
                      {"errno 28"}};
  const auto got = answer_from_json(to_json(sent));
  ASSERT_TRUE(got && got->failed);
  EXPECT_EQ(got->failed->code, ErrorCode::kNoSpace);
  EXPECT_EQ(got->failed->text(), sent.failed->text());
  EXPECT_FALSE(
      answer_from_json(R"({"answer":"pending","ran":"no","domain_id":1,"text":"","failed":7})"));
}

// An answer that cannot be read must never count as a refusal.
TEST(PeerMessages, AnAnswerNobodyKnowsIsAnError) {
  for (const auto* text : {R"({"answer":"perhaps","ran":"no","domain_id":1,"text":""})",
                           R"({"ran":"no","domain_id":1,"text":""})",
                           R"({"answer":7,"ran":"no","domain_id":1,"text":""})", "", "null", "[]",
                           R"({"answer":"refused","ran":"no","domain_id":-1,"text":""})"}) {
    EXPECT_FALSE(answer_from_json(text)) << text;
  }
}

TEST(PeerMessages, DestinationReportSurvivesTheRoad) {
  preflight::DestinationReport sent;
  sent.findings = sample_plan().findings;
  sent.placements = sample_plan().placements;
  sent.destination_xml = "<domain/>";
  sent.host.name = "host2";
  sent.host.settings.incoming = true;
  const auto got = destination_report_from_json(to_json(sent));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->findings.at(0).code, "DISK_EXISTS");
  EXPECT_EQ(got->placements.size(), 1u);
  EXPECT_TRUE(got->host.settings.incoming);
}

TEST(PeerMessages, AProposalCarriesWhereTheGuestIsReached) {
  preflight::Proposal sent;
  sent.vm = sample_plan().vm;
  sent.request = sample_plan().request;
  sent.request.interfaces = {{"lan", "prod"}};
  sent.guest_addresses = {{"52:54:00:aa:00:01", "10.1.0.7", 24},
                          {"52:54:00:aa:00:01", "fd00::7", 0}};
  const auto read = proposal_from_json(to_json(sent));
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->guest_addresses.size(), 2u);
  EXPECT_EQ(read->guest_addresses[0].prefix_bits, 24u);
  EXPECT_EQ(read->guest_addresses[1].address, "fd00::7");
  EXPECT_EQ(read->request.interfaces.at(0).to, "prod");
  std::string wrong = to_json(sent);
  wrong.replace(wrong.find("\"10.1.0.7\""), 10, "7         ");
  EXPECT_FALSE(proposal_from_json(wrong)) << "an address is a text";
}

TEST(Jobs, SurviveTheJournal) {
  SourceJob job;
  job.move.id = "k3f9x2qa";
  job.move.plan = sample_plan();
  job.persistent_xml = "<domain/>";
  job.autostart = true;
  job.migrate_called = true;
  job.files = {{"vda", "/a/x.qcow2", 5, 6, 77, "b"}};
  const auto source = source_job_from_json(to_json(job));
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_TRUE(source->autostart && source->migrate_called && !source->carriers_started);
  EXPECT_EQ(source->files.at(0).inode, 6u);
  EXPECT_EQ(source->files.at(0).born_ns, 77u);
  EXPECT_EQ(source->files.at(0).boot, "b");
  job.created = {{"vda", "/b/x.qcow2", 5, 7, 0, ""}};
  job.begun = {"vda", "vdb"};
  job.switched = {"vda"};
  const auto storage = source_job_from_json(to_json(job));
  ASSERT_TRUE(storage) << storage.error().text();
  EXPECT_EQ(storage->created.at(0).inode, 7u);
  EXPECT_EQ(storage->begun, job.begun);
  EXPECT_EQ(storage->switched, job.switched);

  // As a release wrote it that knew live moves only.
  std::string old = to_json(SourceJob{});
  for (const std::string member : {R"("kind":"live",)", R"("created":[],)", R"("begun":[],)",
                                   R"("switched":[],)", R"(,"switched":[])"}) {
    if (const auto place = old.find(member); place != std::string::npos)
      old.erase(place, member.size());
  }
  ASSERT_EQ(old.find("kind"), std::string::npos) << old;
  ASSERT_EQ(old.find("switched"), std::string::npos) << old;
  const auto before = source_job_from_json(old);
  ASSERT_TRUE(before) << before.error().text();
  EXPECT_EQ(before->move.plan.kind, MoveKind::kLive);
  EXPECT_TRUE(before->created.empty());

  DestinationJob other;
  other.move_id = "k3f9x2qa";
  other.plan = sample_plan();
  other.prepared = true;
  other.created = {{"nvram", "/n", 0, 0, 0, ""}};
  const auto destination = destination_job_from_json(to_json(other));
  ASSERT_TRUE(destination) << destination.error().text();
  EXPECT_TRUE(destination->prepared);
  EXPECT_EQ(destination->created.at(0).path, "/n");

  // As a release wrote it that knew files by device and inode alone.
  old = to_json(other);
  for (const std::string member : {R"("boot":"",)", R"("born_ns":0,)"}) {
    const auto place = old.find(member);
    ASSERT_NE(place, std::string::npos) << old;
    old.erase(place, member.size());
  }
  const auto known = destination_job_from_json(old);
  ASSERT_TRUE(known) << known.error().text();
  EXPECT_EQ(identity_of(known->created.at(0)), FileIdentity{});
}

}  // namespace
}  // namespace drover::move
