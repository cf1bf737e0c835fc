// SPDX-License-Identifier: Apache-2.0
// Exports and imports on the fake hypervisor, with images that are files: how each ends, what is
// refused, and what a crash leaves.
#include "archive/archivist.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "archive/manifest.h"
#include "base/file.h"
#include "base/random.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"
#include "hypervisor/file_identity.h"
#include "hypervisor/program.h"
#include "move/move_test_support.h"

namespace drover::archive {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

class NoPeer final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "Nobody is asked.");
  }
};

class ScriptedPictures final : public DiskPictures {
 public:
  std::function<Status(const PictureCall&)> at_begin;
  std::vector<std::string> ended;  // sockets
  Status begin(const PictureCall& call) override { return at_begin ? at_begin(call) : Status{}; }
  Status end(std::string_view, const std::string& socket) override {
    ended.push_back(socket);
    return {};
  }
};

// One host with one VM that is off: a raw disk and a qcow2 one.
class Archives : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"records", "images", "exports", "restored"})
      ASSERT_TRUE(make_folder(root_ / name, 0711));
    fs::permissions(root_, fs::perms(0711));
    database_ = *journal::Database::open(root_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    const auto set =
        book_->change_settings({{"allowed-folders", SettingChange::Op::kSet, root_.string()},
                                {"default-folder", SettingChange::Op::kSet, at("restored")},
                                {"space-reserve", SettingChange::Op::kSet, "1M"}});
    ASSERT_TRUE(set) << set.error().text();
    records_.emplace(*gate::RecordFolder::open(root_ / "records", "test"));
    world_.emplace(move::World{hypervisor_, *journal_, *book_, peer_, *records_, carriage_, slots_,
                               bandwidth_, "host1", "00"});
    make_disks();
    ASSERT_TRUE(hypervisor_.define(definition()));
    restart();
  }
  void TearDown() override {
    archivist_.reset();
    world_.reset();
    database_.reset();
    fs::remove_all(root_);
  }

  // As a droverd that comes after one that was killed.
  void restart() {
    archivist_.reset();
    archivist_ = std::make_unique<Archivist>(
        *world_,
        Archivist::Neighbours{[this](std::string_view) { return moving_; },
                              [this] { return elsewhere_; }},
        ArchiveOptions{"1.0", at("sockets"), &pictures_});
    ASSERT_TRUE(archivist_->recover());
  }
  std::string at(const std::string& name) const { return (root_ / name).string(); }

  void make_disks() {
    const std::string raw = at("images/web01.img"), qcow2 = at("images/web01.qcow2");
    for (const std::vector<std::string>& words : {
             std::vector<std::string>{"qemu-img", "create", "-q", "-f", "raw", raw, "8M"},
             {"qemu-img", "create", "-q", "-f", "qcow2", qcow2, "32M"},
             {"qemu-io", "-f", "raw", "-c", "write -P 5 1M 2M", raw},
             {"qemu-io", "-f", "qcow2", "-c", "write -P 7 3M 4M", qcow2},
         }) {
      const auto done = run_program({.arguments = words});
      ASSERT_TRUE(done) << done.error().text();
    }
  }
  std::string definition() const {
    return fmt::format(
        "<domain type='qemu'><name>web01</name><uuid>{}</uuid><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>"
        "<target dev='vda'/></disk>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>"
        "<target dev='vdb'/></disk>"
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
        "<source file='/absent/a.iso'/><target dev='sda'/><readonly/></disk>"
        "<interface type='bridge'><mac address='52:54:00:01:02:03'/><source bridge='br0'/>"
        "</interface></devices></domain>",
        kUuid, at("images/web01.img"), at("images/web01.qcow2"));
  }

  static ArchiveRequest exported(const std::string& folder) {
    ArchiveRequest request;
    request.vm = "web01";
    request.folder = folder;
    request.requested_by = "alice";
    return request;
  }
  static ArchiveRequest imported(const std::string& folder, ImportMode mode) {
    ArchiveRequest request;
    request.kind = ArchiveKind::kImport;
    request.folder = folder;
    request.mode = mode;
    return request;
  }
  Archive wait(const std::string& id) {
    for (int i = 0; i < 2000; ++i) {
      const auto now = archivist_->find(id);
      if (!now) break;
      if (now->state != ArchiveState::kRunning) return *now;
      std::this_thread::sleep_for(5ms);
    }
    ADD_FAILURE() << "it does not end";
    return {};
  }
  Archive run(const ArchiveRequest& request) {
    const auto begun = archivist_->start(request);
    EXPECT_TRUE(begun) << begun.error().text();
    return begun ? wait(begun->id) : Archive{};
  }
  std::string export_it() {
    const Archive done = run(exported(at("exports/web01")));
    EXPECT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
    return at("exports/web01");
  }
  void forget_vm() { ASSERT_TRUE(hypervisor_.undefine(kUuid)); }

  std::vector<std::string> blockers(const ArchiveRequest& request) {
    const auto plan = archivist_->plan(request);
    EXPECT_TRUE(plan) << plan.error().text();
    std::vector<std::string> codes;
    if (!plan) return codes;
    for (const Finding& finding : plan->findings) {
      if (finding.level == FindingLevel::kBlocker) codes.push_back(finding.code);
    }
    return codes;
  }
  bool has(const ArchiveRequest& request, const std::string& code) {
    const auto plan = archivist_->plan(request);
    return plan && std::ranges::find(plan->findings, code, &Finding::code) != plan->findings.end();
  }
  std::vector<std::string> files(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(at(folder)))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
  static bool same_content(const std::string& a, const std::string& b, const char* format) {
    return run_program({.arguments = {"qemu-img", "compare", "-f", format, "-F", format, a, b}})
        .has_value();
  }
  static std::uint64_t allocated(const std::string& path) {
    struct stat found{};
    ::stat(path.c_str(), &found);
    return static_cast<std::uint64_t>(found.st_blocks) * 512;
  }
  std::size_t open_jobs() { return journal_->open_jobs(journal::Side::kArchive)->size(); }

  const fs::path root_ = fs::temp_directory_path() / ("drover-archive-" + random_name(8));
  fake::FakeHypervisor hypervisor_{{}};
  ScriptedPictures pictures_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  NoPeer peer_;
  move::ScriptedCarriage carriage_;
  move::Slots slots_;
  move::Bandwidth bandwidth_;
  std::optional<move::World> world_;
  std::string moving_;
  std::vector<Vm> elsewhere_;
  std::unique_ptr<Archivist> archivist_;
};

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

TEST_F(Archives, CopiesAreVmsOfTheirOwn) {
  const std::string folder = export_it();
  std::vector<std::string> uuids{kUuid};
  for (const char* name : {"web01-copy", "web01-copy2", "other"}) {
    ArchiveRequest request = imported(folder, ImportMode::kCopy);
    if (std::string(name) == "other") request.name = name;
    const Archive done = run(request);
    ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
    EXPECT_EQ(done.vm_name, name);
    EXPECT_TRUE(done.verified);
    EXPECT_EQ(std::ranges::find(uuids, done.vm_uuid), uuids.end());
    uuids.push_back(done.vm_uuid);
    const auto xml = hypervisor_.definition(done.vm_uuid, DefinitionKind::kPersistent);
    ASSERT_TRUE(xml);
    const auto domain = parse_domain(*xml);
    EXPECT_EQ(domain->disks.at(0).disk.path, at(fmt::format("restored/{}-vda.img", name)));
    EXPECT_NE(domain->interfaces.at(0).mac, "52:54:00:01:02:03");
    EXPECT_TRUE(domain->disks.at(2).disk.path.empty()) << "the medium is not on this host";
    EXPECT_TRUE(same_content(domain->disks.at(1).disk.path, at("images/web01.qcow2"), "qcow2"));
  }
  EXPECT_EQ(files("restored").size(), 6u);
}

TEST_F(Archives, TheSameVmIsRestoredFromCopies) {
  const std::string folder = export_it();
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"VM_LEFTOVER"});
  forget_vm();
  const Archive done = run(imported(folder, ImportMode::kRestore));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_EQ(done.vm_uuid, kUuid);
  EXPECT_TRUE(same_content(at("restored/web01.img"), at("images/web01.img"), "raw"));
  EXPECT_NE(hypervisor_.definition(kUuid, DefinitionKind::kPersistent)->find("52:54:00:01:02:03"),
            std::string::npos);
}

TEST_F(Archives, ARegisteredOneUsesTheFolder) {
  const std::string folder = export_it();
  forget_vm();
  const Archive done = run(imported(folder, ImportMode::kRegister));
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  const auto domain = parse_domain(*hypervisor_.definition(kUuid, DefinitionKind::kPersistent));
  EXPECT_EQ(domain->disks.at(0).disk.path, folder + "/vda.img");
  EXPECT_TRUE(files("restored").empty());
  EXPECT_EQ(files("exports/web01").size(), 4u);
}

TEST_F(Archives, ATamperedImageIsFoundAndNothingIsLeft) {
  const std::string folder = export_it();
  forget_vm();
  std::fstream image(folder + "/vda.img", std::ios::in | std::ios::out | std::ios::binary);
  image.seekp(5 << 20);
  image.put('x');
  image.close();
  for (const ImportMode mode : {ImportMode::kRestore, ImportMode::kRegister, ImportMode::kCopy}) {
    const Archive done = run(imported(folder, mode));
    EXPECT_EQ(done.state, ArchiveState::kFailed);
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code, ErrorCode::kCorrupt) << done.error->text();
    EXPECT_TRUE(hypervisor_.list_vms()->empty());
    EXPECT_TRUE(files("restored").empty());
  }
}

TEST_F(Archives, WhatIsMissingOrCutIsABlocker) {
  const std::string folder = export_it();
  forget_vm();
  fs::resize_file(folder + "/vdb.qcow2", 100'000);
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  fs::remove(folder + "/vdb.qcow2");
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  EXPECT_EQ(archivist_->start(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kBlocked);
}

TEST_F(Archives, AChangedManifestOrDefinitionIsRefused) {
  const std::string folder = export_it();
  forget_vm();
  std::ofstream(folder + "/definition.xml", std::ios::app) << " ";
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kCorrupt);
  std::ofstream(folder + "/drover-export.json", std::ios::app) << "x";
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kCorrupt);
}

TEST_F(Archives, WithoutAManifestItIsSaid) {
  const std::string folder = export_it();
  forget_vm();
  fs::remove(folder + "/drover-export.json");
  ArchiveRequest request = imported(folder, ImportMode::kRestore);
  EXPECT_EQ(archivist_->start(request).error().code, ErrorCode::kBlocked);
  request.accepted_codes = {"NOT_VERIFIED"};
  const Archive done = run(request);
  ASSERT_EQ(done.state, ArchiveState::kDone) << (done.error ? done.error->text() : "");
  EXPECT_FALSE(done.verified);
  EXPECT_TRUE(has(imported(folder, ImportMode::kCopy), "NOT_VERIFIED"));
}

// What an attacker who can write a folder would try.
TEST_F(Archives, AHostileFolderReachesNothing) {
  fs::create_directory(at("exports/evil"));
  const std::string folder = at("exports/evil");
  const auto define = [&](const std::string& from, const std::string& to) {
    std::string xml = definition();
    for (std::size_t place = from.empty() ? std::string::npos : xml.find(from);
         place != std::string::npos; place = xml.find(from, place + to.size())) {
      xml.replace(place, from.size(), to);
    }
    std::ofstream(folder + "/vm.xml", std::ios::trunc) << xml;
  };
  ArchiveRequest request = imported(folder, ImportMode::kCopy);
  request.accepted_codes = {"NOT_VERIFIED", "DISK_READ_ONLY"};
  fs::copy_file(at("images/web01.img"), folder + "/web01.img");
  // An image that is based on a file of the host.
  ASSERT_TRUE(
      run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b",
                                 "/etc/shadow", "-F", "raw", folder + "/web01.qcow2", "32M"}}));
  define("", "");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"IMAGE_NOT_WHOLE"});
  // A link in place of an image.
  fs::remove(folder + "/web01.qcow2");
  fs::create_symlink(at("images/web01.qcow2"), folder + "/web01.qcow2");
  EXPECT_EQ(archivist_->plan(request).error().code, ErrorCode::kPolicy);
  // A disk that is another VM's, on this host.
  fs::remove(folder + "/web01.qcow2");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"EXPORT_DAMAGED"});
  fs::copy_file(at("images/web01.qcow2"), folder + "/web01.qcow2");
  EXPECT_TRUE(blockers(request).empty());
  // Devices and files of the host.
  define("<interface ",
         "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='3' "
         "slot='0' function='0'/></source></hostdev><interface ");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"DEFINITION_REFUSED"});
  define("<interface ",
         "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem>"
         "<interface ");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"DEFINITION_REFUSED"});
  define("<os>", "<os><kernel>/etc/shadow</kernel>");
  EXPECT_NE(blockers(request), std::vector<std::string>{});
  EXPECT_TRUE(files("restored").empty());
  EXPECT_EQ(hypervisor_.list_vms()->size(), 1u);
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

TEST_F(Archives, RequestsThatMakeNoSense) {
  const std::string folder = export_it();
  ArchiveRequest named = imported(folder, ImportMode::kRestore);
  named.name = "other";
  EXPECT_EQ(archivist_->plan(named).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest slashed = imported(folder, ImportMode::kCopy);
  slashed.name = "../other";
  EXPECT_EQ(archivist_->plan(slashed).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest placed = imported(folder, ImportMode::kRegister);
  placed.disks_to = at("restored");
  EXPECT_EQ(archivist_->plan(placed).error().code, ErrorCode::kInvalidArgument);
  ArchiveRequest taken = imported(folder, ImportMode::kCopy);
  taken.name = "web01";
  EXPECT_EQ(blockers(taken), std::vector<std::string>{"NAME_TAKEN"});
  ArchiveRequest unknown = exported(at("exports/x"));
  unknown.vm = "absent";
  EXPECT_EQ(archivist_->plan(unknown).error().code, ErrorCode::kNotFound);
}

TEST_F(Archives, AVmThatMovesIsLeftAlone) {
  moving_ = "m1";
  EXPECT_EQ(blockers(exported(at("exports/x"))), std::vector<std::string>{"VM_MOVING"});
}

TEST_F(Archives, AVmThatIsElsewhereTooIsAWarning) {
  const std::string folder = export_it();
  forget_vm();
  elsewhere_.emplace_back().uuid = kUuid;
  elsewhere_.back().host = "host2";
  EXPECT_TRUE(has(imported(folder, ImportMode::kRestore), "VM_ELSEWHERE"));
  EXPECT_FALSE(has(imported(folder, ImportMode::kCopy), "VM_ELSEWHERE"));
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
  for (int i = 0; i < 400 && files("exports").empty(); ++i) std::this_thread::sleep_for(5ms);
  const auto opened = [&] {
    return run_program(
        {.arguments = {"qemu-io", "-f", "raw", "-c", "write 0 4k", at("images/web01.img")}});
  };
  for (int i = 0; i < 400 && opened(); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_FALSE(opened()) << "QEMU may write the image";
  ASSERT_TRUE(archivist_->cancel(begun->id));
  wait(begun->id);
  EXPECT_TRUE(opened());
}

TEST_F(Archives, AnInterruptedExportLeavesNothing) {
  ArchiveRequest slow = exported(at("exports/web01"));
  slow.bandwidth = {256 << 10};
  const auto begun = archivist_->start(slow);
  ASSERT_TRUE(begun);
  for (int i = 0; i < 400 && files("exports").empty(); ++i) std::this_thread::sleep_for(5ms);
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
  ASSERT_TRUE(
      journal_->save(journal::Side::kArchive, ended.id, journal::JobState::kOpen, to_json(job)));
  restart();
  EXPECT_EQ(wait(ended.id).state, ArchiveState::kDone);
  EXPECT_TRUE(fs::exists(at("exports/web01")));
}

TEST_F(Archives, AnInterruptedImportIsUndoneUnlessTheVmIsThere) {
  const std::string folder = export_it();
  ArchiveJob job;
  job.archive.id = "k3f9x2qa";
  job.archive.host = "host1";
  job.archive.request = imported(folder, ImportMode::kCopy);
  job.archive.state = ArchiveState::kRunning;
  job.archive.vm_uuid = kUuid;
  job.archive.vm_name = "web02";
  const auto put = [&](const char* name) {
    std::ofstream(at(name)) << "x";
    job.created.push_back(
        move::known_file("vda", at(name), see_file(AT_FDCWD, at(name))->identity));
  };
  put("restored/web02-vda.img");
  job.created.push_back(move::known_file("vdb", at("restored/web02-vdb.qcow2"), {}));
  std::ofstream(at("restored/web02-vdb.qcow2"));
  const auto take_up = [&] {
    EXPECT_TRUE(journal_->save(journal::Side::kArchive, job.archive.id, journal::JobState::kOpen,
                               to_json(job)));
    restart();
    return wait(job.archive.id).state;
  };
  EXPECT_EQ(take_up(), ArchiveState::kFailed);
  EXPECT_TRUE(files("restored").empty());
  // libvirt knows a VM of that UUID, but not with these files.
  job.created.clear();
  put("restored/web02-vda.img");
  job.defining = true;
  EXPECT_EQ(take_up(), ArchiveState::kFailed);
  EXPECT_TRUE(files("restored").empty());
  // It has them: the answer was lost with the droverd.
  job.created = {move::known_file("vda", at("images/web01.img"), {1, 1, 0, ""})};
  EXPECT_EQ(take_up(), ArchiveState::kDone);
  EXPECT_TRUE(fs::exists(at("images/web01.img")));
}

TEST_F(Archives, ACorruptQcow2IsRefusedAndNothingIsLeft) {
  const std::string folder = export_it();
  forget_vm();
  fs::remove(folder + "/drover-export.json");
  std::fstream image(folder + "/vdb.qcow2", std::ios::in | std::ios::out | std::ios::binary);
  image.seekp(196608);
  image.write("\x80\0\0\0\xff\xff\0\0", 8);
  image.close();
  ArchiveRequest request = imported(folder, ImportMode::kRestore);
  request.accepted_codes = {"NOT_VERIFIED"};
  const Archive done = run(request);
  EXPECT_EQ(done.state, ArchiveState::kFailed);
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code, ErrorCode::kCorrupt) << done.error->text();
  EXPECT_TRUE(files("restored").empty());
  EXPECT_TRUE(hypervisor_.list_vms()->empty());
}

TEST_F(Archives, ARunningVmIsExportedThroughItsPicture) {
  ASSERT_TRUE(hypervisor_.start(kUuid));
  std::vector<RunningProgram> servers;
  pictures_.at_begin = [&](const PictureCall& call) -> Status {
    // One server for the first disk only: the second is what fails.
    auto started = RunningProgram::start(
        {.arguments = {"qemu-nbd", "--read-only", "-U", "--shared=4", "-x", call.disks[0].target,
                       "--format=raw", "--socket=" + call.socket, at("images/web01.img")}});
    if (!started) return std::unexpected(started.error());
    servers.push_back(std::move(*started));
    for (int i = 0; i < 400 && !fs::exists(call.socket); ++i) std::this_thread::sleep_for(5ms);
    return {};
  };
  const auto begun = archivist_->start(exported(at("exports/web01")));
  if (!begun) GTEST_SKIP() << begun.error().text();
  const Archive done = wait(begun->id);
  EXPECT_EQ(done.state, ArchiveState::kFailed) << "vdb is not served";
  EXPECT_EQ(pictures_.ended.size(), 1u);
  EXPECT_TRUE(files("exports").empty());
  EXPECT_EQ(files("images"), (std::vector<std::string>{"web01.img", "web01.qcow2"}))
      << "scratch images are left";
}

}  // namespace
}  // namespace drover::archive
