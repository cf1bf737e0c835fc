// SPDX-License-Identifier: Apache-2.0
// What a droverd that dies leaves, and what the next one makes of it.
#include "archive/archive_test_support.h"

namespace drover::archive {
namespace {

TEST_F(Archives, AnInterruptedExportLeavesNothing) {
  ArchiveRequest slow = exported(at("exports/web01"));
  slow.bandwidth = {256 << 10};
  const auto begun = archivist_->start(slow);
  ASSERT_TRUE(begun);
  ASSERT_TRUE(until([&] { return !files("exports").empty(); }));
  EXPECT_EQ(files("exports"), std::vector<std::string>{"web01.drover-" + begun->id});
  restart();
  const Archive ended = wait(begun->id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  EXPECT_TRUE(files("exports").empty());
  EXPECT_EQ(open_jobs(), 0u);
  // As good as done: only the journal does not know.
  ArchiveJob job;
  job.archive = ended;
  job.archive.state = ArchiveState::kRunning;
  fs::create_directory(at("exports/web01"));
  job.staging = move::known_file("folder", at("exports/web01.drover-x"),
                                 see_file(AT_FDCWD, at("exports/web01"))->identity);
  take_up(job);
  EXPECT_EQ(wait(ended.id).state, ArchiveState::kDone);
  EXPECT_TRUE(fs::exists(at("exports/web01")));
}

TEST_F(Archives, AnInterruptedImportIsUndoneUnlessTheVmIsThere) {
  ArchiveJob job = import_under_way(ImportMode::kCopy);
  job.archive.request.folder = export_it();
  job.archive.vm_uuid = kUuid;
  const auto put = [&](const char* name) {
    std::ofstream(at(name)) << "x";
    job.created.push_back(
        move::known_file("vda", at(name), see_file(AT_FDCWD, at(name))->identity));
  };
  put("restored/web02-vda.img");
  job.created.push_back(move::known_file("vdb", at("restored/web02-vdb.qcow2"), {}));
  std::ofstream(at("restored/web02-vdb.qcow2"));
  const auto end = [&] {
    take_up(job);
    return wait(job.archive.id).state;
  };
  EXPECT_EQ(end(), ArchiveState::kFailed);
  EXPECT_TRUE(files("restored").empty());
  // libvirt knows a VM of that UUID, but not with these files.
  job.created.clear();
  put("restored/web02-vda.img");
  job.defining = true;
  EXPECT_EQ(end(), ArchiveState::kFailed);
  EXPECT_TRUE(files("restored").empty());
  // It has them: the answer was lost with the droverd.
  job.created = {move::known_file("vda", at("images/web01.img"), {1, 1, 0, ""})};
  EXPECT_EQ(end(), ArchiveState::kDone);
  EXPECT_TRUE(fs::exists(at("images/web01.img")));
}

// Earlier releases wrote no checkpoints.
TEST(ArchiveJobText, OfAnEarlierReleaseIsRead) {
  ArchiveJob job;
  job.archive.id = "k3f9x2qa";
  job.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  const auto read = archive_job_from_json(to_json(job));
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->checkpoints.size(), 1u);
  EXPECT_EQ(read->checkpoints[0].xml, "<domainsnapshot/>");
  auto tree = nlohmann::json::parse(to_json(job));
  tree.erase("checkpoints");
  const auto earlier = archive_job_from_json(tree.dump());
  ASSERT_TRUE(earlier) << earlier.error().text();
  EXPECT_TRUE(earlier->checkpoints.empty());
}

// A journal that says "about to define" while the VM was taken up, changed, and its disk built
// upon.
TEST_F(Archives, WhatAVmUsesIsNotRemovedByAnUndo) {
  ArchiveJob job = import_under_way(ImportMode::kCopy);
  job.defining = true;
  const std::string base = at("restored/web02-vda.qcow2"), top = at("restored/web02.later");
  ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", base, "8M"}}));
  ASSERT_TRUE(run_program(
      {.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top}}));
  job.created = {move::known_file("vda", base, see_file(AT_FDCWD, base)->identity)};
  std::string xml = definition();
  for (const auto& [from, to] : {std::pair<std::string, std::string>{kUuid, job.archive.vm_uuid},
                                 {"<name>web01", "<name>web02"},
                                 {at("images/web01.qcow2"), top}}) {
    xml.replace(xml.find(from), from.size(), to);
  }
  ASSERT_TRUE(hypervisor_.define(xml));
  take_up(job);
  const Archive ended = wait(job.archive.id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  EXPECT_TRUE(fs::exists(base)) << "a VM's disk stands on it";
  EXPECT_NE(ended.explanation.find("Left behind: " + base), std::string::npos) << ended.explanation;
}

// droverd died before it could write down which file it made: another's may be there by now.
TEST_F(Archives, AFileOfUnknownOriginIsNotRemoved) {
  ArchiveJob job = import_under_way(ImportMode::kRestore);
  job.created = {move::known_file("nvram", at("restored/web02_VARS.fd"), {}),
                 move::known_file("vda", at("images/web02.img.drover-k3f9x2qa"), {})};
  std::ofstream(at("restored/web02_VARS.fd")) << "another VM's variables";
  std::ofstream(at("images/web02.img.drover-k3f9x2qa")) << "ours, by its name";
  take_up(job);
  const Archive ended = wait(job.archive.id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  EXPECT_EQ(files("restored"), std::vector<std::string>{"web02_VARS.fd"});
  EXPECT_EQ(files("images"), (std::vector<std::string>{"web01.img", "web01.qcow2"}));
  EXPECT_NE(ended.explanation.find("web02_VARS.fd"), std::string::npos) << ended.explanation;
}

TEST_F(Archives, AnUndoThatCannotSucceedIsGivenUp) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  pictures_.at_begin = [](const PictureCall&) -> Status {
    return fail(ErrorCode::kHypervisor, "No picture.");
  };
  std::atomic<bool> ends{false};
  pictures_.at_end = [&]() -> Status {
    if (ends) return {};
    return fail(ErrorCode::kTimeout, "QEMU does not end it.");
  };
  const auto begun = archivist_->start(exported(at("exports/web01")));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(asks_to_be_given_up(begun->id));
  const std::string doing = archivist_->find(begun->id)->doing;
  EXPECT_TRUE(doing.contains("QEMU does not end it.")) << doing;
  EXPECT_EQ(archivist_->busy(kUuid), begun->id);
  ASSERT_TRUE(archivist_->give_up(begun->id));
  const Archive ended = wait(begun->id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  EXPECT_NE(ended.explanation.find("Left behind: "), std::string::npos) << ended.explanation;
  EXPECT_NE(ended.explanation.find(at("exports/web01.drover-" + begun->id)), std::string::npos);
  EXPECT_EQ(archivist_->busy(kUuid), "");
  EXPECT_EQ(open_jobs(), 0u);
  EXPECT_EQ(archivist_->give_up(begun->id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(archivist_->give_up("absent").error().code, ErrorCode::kNotFound);
}

// Whether the VM was defined cannot be seen: what is there stays.
TEST_F(Archives, AnEndThatCannotBeSeenIsGivenUp) {
  ArchiveJob job = import_under_way(ImportMode::kRestore);
  job.defining = true;
  const std::string image = at("restored/web02.img");
  std::ofstream(image) << "x";
  job.created = {move::known_file("vda", image, see_file(AT_FDCWD, image)->identity)};
  hypervisor_.set_answering(false);
  take_up(job);
  ASSERT_TRUE(asks_to_be_given_up(job.archive.id));
  ASSERT_TRUE(archivist_->give_up(job.archive.id));
  const Archive ended = wait(job.archive.id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  EXPECT_NE(ended.explanation.find("Left behind: " + image), std::string::npos)
      << ended.explanation;
  EXPECT_TRUE(fs::exists(image));
  hypervisor_.set_answering(true);
}

TEST_F(Archives, OnlyAnUndoIsGivenUp) {
  ArchiveRequest slow = exported(at("exports/web01"));
  slow.bandwidth = {256 << 10};
  const auto begun = archivist_->start(slow);
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_EQ(archivist_->give_up(begun->id).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(archivist_->cancel(begun->id));
  EXPECT_EQ(wait(begun->id).state, ArchiveState::kCancelled);
}

// droverd ends all the same; the next one goes on.
TEST_F(Archives, AJobThatHangsInLibvirtHoldsNobodyUp) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  std::atomic<bool> hangs{true};
  pictures_.at_begin = [&](const PictureCall&) -> Status {
    while (hangs) std::this_thread::sleep_for(5ms);
    return fail(ErrorCode::kHypervisor, "No picture.");
  };
  const auto begun = archivist_->start(exported(at("exports/web01")));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(until([&] { return files("images").size() == 4; }));
  EXPECT_FALSE(archivist_->stop(50ms));
  hangs = false;
  EXPECT_TRUE(archivist_->stop(std::chrono::seconds(10)));
  EXPECT_EQ(open_jobs(), 1u);
  restart();
  EXPECT_EQ(wait(begun->id).state, ArchiveState::kFailed);
  EXPECT_EQ(files("images"), (std::vector<std::string>{"web01.img", "web01.qcow2"}));
}

}  // namespace
}  // namespace drover::archive
