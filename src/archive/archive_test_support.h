// SPDX-License-Identifier: Apache-2.0
// Tests of exports and imports on the fake hypervisor, with images that are files.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "archive/archivist.h"
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

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;

inline constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

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
  std::function<Status()> at_end;
  std::vector<std::string> ended;  // sockets
  Status begin(const PictureCall& call) override { return at_begin ? at_begin(call) : Status{}; }
  Status end(std::string_view, const std::string& socket) override {
    if (at_end) RETURN_IF_ERROR(at_end());
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
  // Writes the manifest anew, as somebody would who knows how its checksum is made.
  static void forge(const std::string& folder, const std::function<void(Manifest&)>& change) {
    const std::string path = folder + "/" + std::string(kManifestName);
    auto manifest = read_manifest(*read_file(path));
    ASSERT_TRUE(manifest) << manifest.error().text();
    change(*manifest);
    std::ofstream(path, std::ios::trunc) << manifest_text(*manifest);
  }

  // As a droverd that comes after one that was killed.
  void restart() {
    archivist_.reset();
    archivist_ = std::make_unique<Archivist>(
        *world_,
        Archivist::Neighbours{[this](std::string_view) { return moving_; },
                              [this] { return elsewhere_; },
                              [this](const Vm& vm, const std::function<Status()>& begin) {
                                return while_free_ ? while_free_(vm, begin) : begin();
                              }},
        ArchiveOptions{"1.0", at("sockets"), &pictures_, at("swtpm")});
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
  static bool until(const std::function<bool()>& happened) {
    for (int i = 0; i < 400; ++i) {
      if (happened()) return true;
      std::this_thread::sleep_for(5ms);
    }
    return happened();
  }
  // The job says that it hangs, and how it can be ended.
  bool asks_to_be_given_up(const std::string& id) {
    return until([&] { return archivist_->find(id)->doing.contains("--give-up"); });
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
  // So that whatever is started waits. Who has them: for give_back().
  std::vector<std::string> take_all_places() {
    const auto limit = move::limit_of(move::Slots::Way::kStorage, book_->settings());
    std::vector<std::string> others;
    while (slots_.take(move::Slots::Way::kStorage, fmt::format("other{}", others.size()), limit))
      others.push_back(fmt::format("other{}", others.size()));
    return others;
  }
  // For a place.
  bool waits(const std::string& id) { return !archivist_->find(id)->doing.empty(); }
  // An import of a VM that is not here, as the journal has it while it runs.
  ArchiveJob import_under_way(ImportMode mode) const {
    ArchiveJob job;
    job.archive.id = "k3f9x2qa";
    job.archive.host = "host1";
    job.archive.request = imported(at("exports/x"), mode);
    job.archive.state = ArchiveState::kRunning;
    job.archive.vm_uuid = "9f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
    job.archive.vm_name = "web02";
    return job;
  }
  // A droverd that was killed has left it, and the next one takes it up.
  void take_up(const ArchiveJob& job) {
    ASSERT_TRUE(journal_->save(journal::Side::kArchive, job.archive.id, journal::JobState::kOpen,
                               to_json(job)));
    restart();
  }
  // Until it is gone, the raw image may be written.
  RunningProgram writer_of(const std::string& image) {
    auto writer = RunningProgram::start(
        {.arguments = {"qemu-nbd", "--persistent", "--socket=" + at("writer.sock"), "--format=raw",
                       image}});
    EXPECT_TRUE(writer) << writer.error().text();
    EXPECT_TRUE(until([&] { return fs::exists(at("writer.sock")); }));
    return std::move(*writer);
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
  std::function<Status(const Vm&, const std::function<Status()>&)> while_free_;
  std::vector<Vm> elsewhere_;
  std::unique_ptr<Archivist> archivist_;
};

}  // namespace drover::archive
