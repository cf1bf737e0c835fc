// SPDX-License-Identifier: Apache-2.0
#include "move/doctor/doctor.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/fake/fake.h"
#include "json/model_json.h"
#include "move/doctor/doctor_checks.h"
#include "move/peer_messages.h"
#include "move/world_fixture.h"
#include "net/dial.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Answers by verb; a verb without one is unknown to the peer.
class ScriptedPeer final : public net::PeerTransport {
 public:
  std::map<std::string, Result<std::string>, std::less<>> answers;
  Result<std::string> call(std::string_view, std::string_view verb, std::string_view,
                           Deadline) override {
    const auto found = answers.find(verb);
    if (found == answers.end()) return fail(ErrorCode::kNotFound, "There is no peer call.");
    return found->second;
  }
};

class DoctorLooks : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    for (const char* name : {"writes", "moves", "sockets", "images", "hooks"})
      ASSERT_TRUE(make_folder(folder_ / name, 0755));
    open_world(hypervisor_, peer_);
    using Op = SettingChange::Op;
    ASSERT_TRUE(book_->change_settings({{"space-reserve", Op::kSet, "1M"},
                                        {"allowed-folders", Op::kAdd, images()},
                                        {"default-folder", Op::kSet, images()},
                                        {"allowed-folders", Op::kSet, images()}}));
    write("hooks/ours", "#!/bin/sh\n");
    write("hooks/there", "#!/bin/sh\n");
    write("identity.key", "key");
    ::chmod((folder_ / "identity.key").c_str(), 0600);
    options_.hook_source = folder_ / "hooks/ours";
    options_.hook_place = folder_ / "hooks/there";
    options_.state_folder = folder_;
    options_.moves_folder = folder_ / "moves";
    options_.socket_folder = folder_ / "sockets";
    options_.apparmor = folder_ / "apparmor";
    options_.unix_sockets = folder_ / "unix";
    write("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n");
    options_.version = "1.0";
    inventory_.emplace(hypervisor_, *book_, peer_, "host1");
  }
  void TearDown() override {
    inventory_.reset();
    close_world();
  }
  std::string images() const { return (folder_ / "images").string(); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  std::vector<std::string> codes() {
    std::vector<std::string> found;
    for (const Finding& finding : examine(*world_, *inventory_, options_)) {
      EXPECT_FALSE(finding.what.empty() || finding.why.empty() || finding.fixes.empty())
          << finding.code << " leaves something unsaid";
      const bool listed = std::ranges::any_of(
          doctor_codes(), [&](const DoctorCode& one) { return one.code == finding.code; });
      EXPECT_TRUE(listed) << finding.code;
      found.push_back(finding.code);
    }
    return found;
  }
  using Codes = std::vector<std::string>;
  Status fix(std::string_view code) { return apply_fix(*world_, code, options_); }
  // A host that answers everything well, on a port for moves that is open.
  void pair() {
    door_ = std::move(*net::listen_tcp({"127.0.0.1", 0}));
    const auto at = *net::local_address(door_.get());
    const Peer peer{"host2", "127.0.0.1", 1, at.port, std::string(64, '1'), {}, PeerState::kPaired};
    ASSERT_TRUE(book_->put_peer(peer));
    peer_.answers.emplace("vms", json::to_json(std::vector<Vm>{}));
    says(CheckReply{std::chrono::system_clock::now(), "1.0", true});
  }
  void says(const CheckReply& reply) { peer_.answers["check"] = to_json(reply); }
  void save(const DestinationJob& job, journal::JobState state) {
    ASSERT_TRUE(journal_->save(journal::Side::kDestination, job.move_id, state, to_json(job)));
  }
  DestinationJob undone_job() {
    DestinationJob job;
    job.move_id = job.epoch = kMove;
    job.peer = "host2";
    job.plan.vm.uuid = kUuid;
    job.plan.vm.name = "web01";
    job.undone = true;
    return job;
  }
  QuarantinedDisk kept(const std::string& path) {
    QuarantinedDisk disk;
    disk.move_id = kMove;
    disk.vm_uuid = kUuid;
    disk.vm_name = "web01";
    disk.original_path = images() + "/web01.raw";
    disk.kept_path = path;
    struct stat found{};
    EXPECT_EQ(::stat(images().c_str(), &found), 0);
    disk.device = found.st_dev;
    disk.inode = 1;
    if (const auto identity = file_identity(path)) disk.inode = identity->inode;
    return disk;
  }

  DoctorOptions options_;
  fake::FakeHypervisor hypervisor_{{}};
  ScriptedPeer peer_;
  UniqueFd door_;
  std::optional<Inventory> inventory_;
};

TEST(DoctorCodes, HaveASectionEachAndNoOther) {
  const auto document = read_file(DROVER_SOURCE_ROOT "/docs/doctor.md");
  ASSERT_TRUE(document) << document.error().text();
  std::size_t sections = 0;
  for (std::size_t at = 0; (at = document->find("\n### ", at)) != std::string::npos; ++at)
    ++sections;
  EXPECT_EQ(sections, doctor_codes().size());
  for (const DoctorCode& one : doctor_codes()) {
    const auto at = document->find(fmt::format("\n### {}\n", one.code));
    ASSERT_NE(at, std::string::npos) << one.code;
    const auto section = document->substr(at, document->find("\n##", at + 1) - at);
    EXPECT_EQ(one.mends, section.find("\n`--fix`") != std::string::npos) << one.code;
    EXPECT_TRUE(!one.mends || section.find("undo") != std::string::npos)
        << one.code << ": a fix says what its undo is";
  }
}

TEST_F(DoctorLooks, NothingIsWrongWithAHealthyPair) {
  pair();
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(DoctorLooks, AtItsHost) {
  options_.programs = {folder_ / "no-such-program"};
  EXPECT_EQ(codes(), Codes{"PROGRAM_MISSING"});
  options_.programs.clear();
  write("apparmor", "Y\n");
  EXPECT_EQ(codes(), Codes{"APPARMOR_SOCKETS"});
  write("apparmor", "N\n");
  using Op = SettingChange::Op;
  ASSERT_TRUE(book_->change_settings({{"allowed-folders", Op::kAdd, "/no/such/folder"}}));
  EXPECT_EQ(codes(), Codes{"FOLDER_MISSING"});
  ASSERT_TRUE(book_->change_settings({{"allowed-folders", Op::kRemove, "/no/such/folder"},
                                      {"space-reserve", Op::kSet, "900000G"}}));
  EXPECT_EQ(codes(), Codes{"SPACE_LOW"});
  ASSERT_TRUE(book_->change_settings({{"space-reserve", Op::kSet, "off"}}));
  hypervisor_.set_answering(false);
  EXPECT_EQ(codes(), Codes{"HYPERVISOR_DOWN"});
}

TEST_F(DoctorLooks, AKeyThatOthersMayReadIsClosed) {
  const auto key = folder_ / "identity.key";
  ::chmod(key.c_str(), 0644);
  EXPECT_EQ(codes(), Codes{"IDENTITY_OPEN"});
  ASSERT_TRUE(fix("IDENTITY_OPEN"));
  EXPECT_EQ(codes(), Codes{});
  fs::remove(key);
  EXPECT_EQ(codes(), Codes{"IDENTITY_OPEN"});
  EXPECT_FALSE(fix("IDENTITY_OPEN")) << "it makes no other key";
}

TEST_F(DoctorLooks, AHookThatDiffersIsReplacedAndKept) {
  write("hooks/there", "#!/bin/sh\nexit 0\n");
  EXPECT_EQ(codes(), Codes{"HOOK_DIFFERS"});
  ASSERT_TRUE(fix("HOOK_DIFFERS"));
  EXPECT_EQ(codes(), Codes{});
  EXPECT_EQ(*read_file(folder_ / "hook.former"), "#!/bin/sh\nexit 0\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "hooks"), fs::directory_iterator()), 2)
      << "libvirt runs all that lies there";
  fs::remove(options_.hook_place);
  EXPECT_EQ(codes(), Codes{"HOOK_ABSENT"});
  ASSERT_TRUE(fix("hook"));
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(DoctorLooks, OnlyFilesOfMovesThatAreOverAreStale) {
  const auto plant = [&](const std::string& id) {
    fs::create_directory(folder_ / "moves" / id);
    write("moves/" + id + "/gate.sock", "");
    write("writes/" + id, "");
    write("sockets/" + id + ".rpc.tunnelmigrate.dest.web01", "");
  };
  plant(kMove);
  plant("aaaaaaaa");
  write("sockets/other", "");
  DestinationJob job = undone_job();
  job.undone = false;
  save(job, journal::JobState::kOpen);
  pair();
  EXPECT_EQ(codes(), Codes(3, "STALE_FILES"));
  ASSERT_TRUE(fix("STALE_FILES"));
  EXPECT_EQ(codes(), Codes{});
  EXPECT_TRUE(fs::exists(folder_ / "moves" / kMove / "gate.sock"));
  EXPECT_TRUE(fs::exists(folder_ / "sockets/other"));
  EXPECT_TRUE(fs::exists(folder_ / "writes" / kMove));
}

TEST_F(DoctorLooks, NothingOfAGateThatRunsIsStale) {
  fs::create_directory(folder_ / "moves/aaaaaaaa");
  write("moves/aaaaaaaa/gate.sock", "");
  write("writes/aaaaaaaa", "");
  write("unix",
        "Num RefCount Protocol Flags Type St Inode Path\n"
        "00000000f3a1: 00000002 00000000 00010000 0005 01 31337 " +
            (folder_ / "moves/aaaaaaaa/gate.sock").string() + "\n");
  EXPECT_EQ(codes(), Codes{"CARRIER_STRAY"});
  ASSERT_TRUE(fix("STALE_FILES"));
  EXPECT_TRUE(fs::exists(folder_ / "moves/aaaaaaaa/gate.sock"));
  fs::remove(folder_ / "unix");
  EXPECT_FALSE(fix("STALE_FILES")) << "whether one runs is not known";
}

TEST_F(DoctorLooks, AGateThatEndedBeforeItsTime) {
  pair();
  DestinationJob job = undone_job();
  job.undone = false;
  job.prepared = true;
  save(job, journal::JobState::kOpen);
  ASSERT_TRUE(records_->create_destination({kUuid, kMove}, kMove));
  EXPECT_EQ(codes(), Codes{"CARRIER_GONE"});
  const std::string folder = (folder_ / "moves" / kMove).string();
  write("unix",
        "1: 2 0 1 5 1 7 " + folder + "/gate.sock\n2: 2 0 1 5 1 8 " + folder + "/mover.sock\n");
  EXPECT_EQ(codes(), Codes{});
  write("unix", "");
  ASSERT_TRUE(records_->decide({kUuid, kMove}, gate::Decision::kAccepted));
  EXPECT_EQ(codes(), Codes{}) << "its work is done";
}

TEST_F(DoctorLooks, NothingIsStaleWhileTheJournalCannotBeRead) {
  fs::create_directory(folder_ / "moves/aaaaaaaa");
  ASSERT_TRUE(journal_->save(journal::Side::kDestination, kMove, journal::JobState::kOpen, "{"));
  EXPECT_EQ(codes(), Codes{"JOURNAL_UNREADABLE"});
  EXPECT_FALSE(fix("STALE_FILES"));
  EXPECT_TRUE(fs::exists(folder_ / "moves/aaaaaaaa"));
}

TEST_F(DoctorLooks, RecordsThatWereLeft) {
  ASSERT_TRUE(records_->create_destination({kUuid, kMove}, kMove));
  EXPECT_EQ(codes(), Codes{"RECORD_LEFT"});
  write("records/" + std::string(kUuid) + ".x.source", "rubbish");
  auto found = codes();
  EXPECT_TRUE(std::ranges::count(found, "RECORDS_DAMAGED"));
  EXPECT_FALSE(fix("RECORD_LEFT")) << "who runs the VM is for people to find out";
}

TEST_F(DoctorLooks, AnUnfinishedCopyIsRemovedByWhatItIsOnly) {
  const std::string image = images() + "/web01.raw";
  write("images/web01.raw", "copy");
  DestinationJob job = undone_job();
  const auto identity = *file_identity(image);
  job.created = {known_file("vda", image, identity)};
  save(job, journal::JobState::kEnded);
  EXPECT_EQ(codes(), Codes{"IMAGE_LEFT"});
  job.abandoned = true;
  save(job, journal::JobState::kEnded);
  EXPECT_EQ(codes(), Codes{}) << "the VM ran on it, and who restored it wants it";
  job.abandoned = false;
  save(job, journal::JobState::kEnded);
  // Kept on purpose.
  auto disk = kept(image);
  ASSERT_TRUE(journal_->add_quarantined(disk));
  EXPECT_EQ(codes(), Codes{});
  ASSERT_TRUE(fix("IMAGE_LEFT"));
  EXPECT_TRUE(fs::exists(image));
  ASSERT_TRUE(journal_->remove_quarantined(disk));
  // Another file under that name.
  fs::rename(image, image + ".former");
  write("images/web01.raw", "a disk");
  EXPECT_EQ(codes(), Codes{});
  ASSERT_TRUE(fix("IMAGE_LEFT"));
  EXPECT_TRUE(fs::exists(image));
  fs::rename(image + ".former", image);
  ASSERT_TRUE(fix("IMAGE_LEFT"));
  EXPECT_FALSE(fs::exists(image));
}

TEST_F(DoctorLooks, TheQuarantine) {
  const std::string path = images() + "/web01.raw.drover-" + kMove;
  write("images/web01.raw.drover-" + std::string(kMove), "disk");
  EXPECT_EQ(codes(), Codes{"IMAGE_STRAY"});
  auto disk = kept(path);
  ASSERT_TRUE(journal_->add_quarantined(disk));
  EXPECT_EQ(codes(), Codes{});
  disk.until = std::chrono::system_clock::now() - 1h;
  ASSERT_TRUE(journal_->add_quarantined(disk));
  EXPECT_EQ(codes(), Codes{"QUARANTINE_EXPIRED"});
  disk.until = {};
  ASSERT_TRUE(journal_->add_quarantined(disk));
  fs::rename(path, folder_ / "away");
  EXPECT_EQ(codes(), Codes{"QUARANTINE_LOST"});
  write("images/web01.raw.drover-" + std::string(kMove), "another");
  EXPECT_EQ(codes(), Codes{"QUARANTINE_CHANGED"});
  ASSERT_TRUE(fix("QUARANTINE_LOST"));
  EXPECT_EQ(journal_->quarantine()->size(), 1u) << "it is not gone";
  fs::remove(path);
  ASSERT_TRUE(fix("QUARANTINE_LOST"));
  EXPECT_TRUE(journal_->quarantine()->empty());
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(DoctorLooks, AFileSystemThatIsNotMountedLosesNoDisk) {
  auto disk = kept(images() + "/web01.raw.drover-" + kMove);
  disk.device += 1;  // what is mounted there now is another
  ASSERT_TRUE(journal_->add_quarantined(disk));
  EXPECT_EQ(codes(), Codes{});
  ASSERT_TRUE(fix("QUARANTINE_LOST"));
  EXPECT_EQ(journal_->quarantine()->size(), 1u);
}

TEST_F(DoctorLooks, AtItsPeers) {
  pair();
  says({std::chrono::system_clock::now() - 1h, "1.0", true});
  EXPECT_EQ(codes(), Codes{"TIME_SKEW"});
  says({std::chrono::system_clock::now(), "0.9", false});
  EXPECT_EQ(codes(), (Codes{"PEER_REFUSES", "VERSION_DIFFERS"}));
  peer_.answers["check"] = fail(ErrorCode::kUnauthenticated, "Not paired.");
  EXPECT_EQ(codes(), Codes{"PAIRING_BROKEN"});
  peer_.answers["check"] = fail(ErrorCode::kUnavailable, "It does not answer.");
  EXPECT_EQ(codes(), Codes{"HOST_UNREACHABLE"});
  peer_.answers.erase("check");
  EXPECT_EQ(codes(), Codes{"VERSION_DIFFERS"}) << "an older one knows no such question";
  says({std::chrono::system_clock::now(), "1.0", true});
  door_.reset();
  EXPECT_EQ(codes(), Codes{"MOVER_PORT_CLOSED"});
}

TEST_F(DoctorLooks, AMoveWhoseSourceIsNoPeerAnyMoreIsHeld) {
  DestinationJob job = undone_job();
  job.undone = false;
  save(job, journal::JobState::kOpen);
  EXPECT_EQ(codes(), Codes{"MOVE_HELD"});
  pair();
  EXPECT_EQ(codes(), Codes{});
}

TEST_F(DoctorLooks, WhatHasNoFixIsNotTouched) {
  for (const DoctorCode& one : doctor_codes()) {
    if (one.mends) continue;
    EXPECT_EQ(fix(one.code).error().code, ErrorCode::kInvalidArgument) << one.code;
  }
  EXPECT_EQ(fix("../../etc").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover::move
