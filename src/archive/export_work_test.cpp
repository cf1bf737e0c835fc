// SPDX-License-Identifier: Apache-2.0
// Exports: what the folder holds, what is refused, and a VM that changes meanwhile.
#include "archive/archive_test_support.h"
#include "archive/socket_fixture.h"

namespace drover::archive {
namespace {

TEST_F(Archives, AnExportHoldsTheDisksAndAManifest) {
  const std::string folder = export_it();
  EXPECT_EQ(
      files("exports/web01"),
      (std::vector<std::string>{"definition.xml", "drover-export.json", "vda.img", "vdb.qcow2"}));
  EXPECT_EQ(files("exports"), std::vector<std::string>{"web01"});
  EXPECT_TRUE(same_content(folder + "/vda.img", at("images/web01.img"), "raw"));
  EXPECT_TRUE(same_content(folder + "/vdb.qcow2", at("images/web01.qcow2"), "qcow2"));
  EXPECT_LE(allocated(folder + "/vda.img"), allocated(at("images/web01.img")) * 105 / 100);
  const auto manifest = read_manifest(*read_file(folder + "/drover-export.json"));
  ASSERT_TRUE(manifest) << manifest.error().text();
  EXPECT_EQ(manifest->vm_name, "web01");
  EXPECT_EQ(manifest->items.size(), 3u);
  EXPECT_FALSE(manifest->running);
  EXPECT_EQ(open_jobs(), 0u);
  EXPECT_EQ(archivist_->list().at(0).explanation, "web01 is exported to " + folder + ".");
}

TEST_F(Archives, FoldersOutsideAreRefused) {
  EXPECT_EQ(blockers(exported("/etc/web01")), std::vector<std::string>{"FOLDER_NOT_ALLOWED"});
  EXPECT_EQ(blockers(exported(at("exports"))), std::vector<std::string>{"EXPORT_EXISTS"});
  EXPECT_EQ(blockers(exported(at("absent/web01"))), std::vector<std::string>{"FOLDER_MISSING"});
  for (const char* folder : {"", "web01", "/srv/../etc/x", "/srv/x/"}) {
    EXPECT_EQ(archivist_->plan(exported(folder)).error().code, ErrorCode::kInvalidArgument)
        << folder;
  }
  EXPECT_EQ(archivist_->plan(imported("/etc", ImportMode::kCopy)).error().code,
            ErrorCode::kPermission);
  EXPECT_EQ(archivist_->plan(imported(at("exports"), ImportMode::kCopy)).error().code,
            ErrorCode::kNotFound);
}

TEST_F(Archives, AVmThatMovesIsLeftAlone) {
  moving_ = "m1";
  EXPECT_EQ(blockers(exported(at("exports/x"))), std::vector<std::string>{"VM_MOVING"});
}

// A move that was asked for after the export's plan was made.
TEST_F(Archives, AnExportBeginsOnlyWhileNoMoveCan) {
  while_free_ = [](const Vm& vm, const std::function<Status()>&) -> Status {
    EXPECT_EQ(vm.uuid, kUuid);
    return fail(ErrorCode::kConflict, "{} is moving already.", vm.name);
  };
  const auto refused = archivist_->start(exported(at("exports/web01")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(files("exports").empty() && open_jobs() == 0u);
  while_free_ = [this](const Vm&, const std::function<Status()>& begin) -> Status {
    RETURN_IF_ERROR(begin());
    EXPECT_NE(archivist_->busy(kUuid), "") << "a move that asks from now on hears of it";
    return {};
  };
  const auto begun = archivist_->start(exported(at("exports/web01")));
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_EQ(wait(begun->id).state, ArchiveState::kDone);
}

TEST_F(Archives, ACancelledExportLeavesNothing) {
  ArchiveRequest slow = exported(at("exports/web01"));
  slow.bandwidth = {256 << 10};
  const auto begun = archivist_->start(slow);
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_EQ(archivist_->busy(kUuid), begun->id);
  EXPECT_EQ(archivist_->start(exported(at("exports/other"))).error().code, ErrorCode::kBlocked);
  ASSERT_TRUE(archivist_->cancel(begun->id));
  EXPECT_EQ(wait(begun->id).state, ArchiveState::kCancelled);
  EXPECT_TRUE(files("exports").empty());
  EXPECT_EQ(archivist_->cancel(begun->id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(archivist_->cancel("absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(archivist_->busy(kUuid), "");
  EXPECT_EQ(slots_.used(move::Slots::Way::kStorage), 0u);
}

TEST_F(Archives, AVmThatIsBeingExportedCannotBeStarted) {
  ArchiveRequest slow = exported(at("exports/web01"));
  slow.bandwidth = {256 << 10};
  const auto begun = archivist_->start(slow);
  ASSERT_TRUE(begun);
  ASSERT_TRUE(until([&] { return !files("exports").empty(); }));
  const auto opened = [&] {
    return run_program(
        {.arguments = {"qemu-io", "-f", "raw", "-c", "write 0 4k", at("images/web01.img")}});
  };
  EXPECT_TRUE(until([&] { return !opened(); })) << "QEMU may write the image";
  ASSERT_TRUE(archivist_->cancel(begun->id));
  wait(begun->id);
  EXPECT_TRUE(opened());
}

TEST_F(Archives, ARunningVmIsExportedThroughItsPicture) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  std::vector<RunningProgram> servers;
  pictures_.at_begin = [&](const PictureCall& call) -> Status {
    // One server for the first disk only: the second is what fails.
    auto started = RunningProgram::start(
        {.arguments = {"qemu-nbd", "--read-only", "--shared=16", "-x", call.disks[0].target,
                       "--format=raw", "--socket=" + call.socket, at("images/web01.img")}});
    if (!started) return std::unexpected(started.error());
    servers.push_back(std::move(*started));
    EXPECT_TRUE(until([&] { return listens(call.socket); }));
    return {};
  };
  const auto begun = archivist_->start(exported(at("exports/web01")));
  if (!begun) GTEST_SKIP() << begun.error().text();
  const Archive done = wait(begun->id);
  EXPECT_EQ(done.state, ArchiveState::kFailed);
  ASSERT_TRUE(done.error);
  EXPECT_TRUE(done.error->message.contains("vdb of web01")) << done.error->text();
  EXPECT_EQ(pictures_.ended.size(), 1u);
  EXPECT_TRUE(files("exports").empty());
  EXPECT_EQ(files("images"), (std::vector<std::string>{"web01.img", "web01.qcow2"}))
      << "scratch images are left";
}

// The plan that was accepted may be hours old when its turn comes.
TEST_F(Archives, WhatChangedInTheQueueIsExportedAsItIs) {
  const std::vector<std::string> others = take_all_places();
  const auto begun = archivist_->start(exported(at("exports/web01")));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(until([&] { return waits(begun->id); }));
  fs::rename(at("images/web01.img"), at("images/other.img"));
  std::string changed = definition();
  changed.replace(changed.find("images/web01.img"), 16, "images/other.img");
  ASSERT_TRUE(hypervisor_.define(changed));
  for (const std::string& other : others) slots_.give_back(move::Slots::Way::kStorage, other);
  ASSERT_EQ(wait(begun->id).state, ArchiveState::kDone);
  const auto text = read_file(at("exports/web01/definition.xml"));
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("images/other.img"), std::string::npos);
}

TEST_F(Archives, ABlockerThatCameInTheQueueStopsIt) {
  const std::vector<std::string> others = take_all_places();
  const auto begun = archivist_->start(exported(at("exports/web01")));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(until([&] { return waits(begun->id); }));
  hypervisor_.set_snapshots(kUuid, 1);  // a warning that nobody accepted
  for (const std::string& other : others) slots_.give_back(move::Slots::Way::kStorage, other);
  const Archive ended = wait(begun->id);
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  ASSERT_TRUE(ended.error);
  EXPECT_EQ(ended.error->code, ErrorCode::kBlocked) << ended.error->text();
  EXPECT_TRUE(files("exports").empty());
}

TEST_F(Archives, AnImageThatSomebodyWritesIsNotExported) {
  const RunningProgram writer = writer_of(at("images/web01.img"));
  const Archive ended = run(exported(at("exports/web01")));
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  ASSERT_TRUE(ended.error);
  EXPECT_EQ(ended.error->code, ErrorCode::kConflict) << ended.error->text();
  EXPECT_TRUE(ended.error->text().contains("vda is open for writing")) << ended.error->text();
}

// Between the plan and the instant from which on the disks stand still.
TEST_F(Archives, AVmThatChangesAtTheLastInstantIsNotExported) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  pictures_.at_begin = [&](const PictureCall&) -> Status {
    std::string changed = definition();
    changed.replace(changed.find("'MiB'>64"), 8, "'MiB'>65");
    return hypervisor_.define(changed);
  };
  const Archive ended = run(exported(at("exports/web01")));
  EXPECT_EQ(ended.state, ArchiveState::kFailed);
  ASSERT_TRUE(ended.error);
  EXPECT_EQ(ended.error->code, ErrorCode::kConflict) << ended.error->text();
  EXPECT_NE(ended.error->text().find("changed meanwhile"), std::string::npos);
  EXPECT_TRUE(files("exports").empty());
}

}  // namespace
}  // namespace drover::archive
