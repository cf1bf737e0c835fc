// SPDX-License-Identifier: Apache-2.0
// Files that disks stand on, and checkpoints: what a destination takes, and what a source gives
// back when the VM stays.
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "content/file_digest.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"
#include "move/destination_side.h"
#include "move/live_move_fixture.h"
#include "move/move_test_support.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
constexpr const char* kMove = "k3f9x2qa";

class Nobody final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "The destination asks nobody.");
  }
};

class Items : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(images_);
    fs::create_directories(folder_ / "source");
    ASSERT_TRUE(make_folder(folder_ / "records", 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    Peer peer{"host1", "10.0.0.1", 1, 2, std::string(64, '0'), {}, PeerState::kPaired};
    peer.rights.send = true;
    ASSERT_TRUE(book_->put_peer(peer));
    ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"}}));
    ASSERT_TRUE(
        book_->change_settings({{"allowed-folders", SettingChange::Op::kAdd, images_.string()}}));
    ASSERT_TRUE(
        book_->change_settings({{"default-folder", SettingChange::Op::kSet, images_.string()}}));
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world_.emplace(World{hypervisor_, *journal_, *book_, peers_, *records_, carriage_, slots_,
                         bandwidth_, "host2", "00"});
    side_.emplace(*world_, [] { return std::vector<Vm>{}; });
    std::ofstream(base()) << std::string(100'000, 'b');
  }
  void TearDown() override {
    side_.reset();
    database_.reset();
    fs::remove_all(folder_);
  }

  std::string base() const { return (folder_ / "source/base.img").string(); }
  std::string there() const { return (images_ / "base.img").string(); }
  std::string top() const { return (images_ / "web01.qcow2").string(); }
  std::string definition(const std::string& disk) const {
    return std::string("<domain type='qemu'><name>web01</name><uuid>") + kUuid +
           "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
           "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
           "name='qemu' type='qcow2'/><source file='" +
           disk + "'/><target dev='vda' bus='virtio'/></disk></devices></domain>";
  }
  CheckpointText checkpoint(const std::string& domain) const {
    return {"clean", "<domainsnapshot><name>clean</name>" + domain + "</domainsnapshot>", true};
  }
  static std::string digest_of(const std::string& path,
                               Result<std::string> (*function)(int) = content::file_sample) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY));
    return *function(file.get());
  }

  preflight::DestinationReport preflight(std::vector<CheckpointText> checkpoints = {}) {
    preflight::Proposal proposal;
    proposal.live_xml = proposal.persistent_xml = definition(top());
    proposal.vm = parse_domain(proposal.live_xml)->vm;
    proposal.vm.disks[0].virtual_size = mib(64);
    proposal.vm.disks[0].layers = {{base(), "raw", mib(64), mib(1), {}}};
    proposal.request.destination = "host2";
    proposal.source.name = "host1";
    proposal.samples = {{base(), {100'000}, digest_of(base())}};
    proposal.checkpoints = std::move(checkpoints);
    const auto text = side_->handle("host1", verb::kPreflight, to_json(proposal));
    EXPECT_TRUE(text) << text.error().text();
    return text ? *destination_report_from_json(*text) : preflight::DestinationReport{};
  }
  static const Finding* find(const preflight::DestinationReport& report, const std::string& code) {
    const auto found = std::ranges::find(report.findings, code, &Finding::code);
    return found == report.findings.end() ? nullptr : &*found;
  }
  Result<std::string> reserve(std::vector<CheckpointText> checkpoints = {}, bool shared = false) {
    ReserveRequest request;
    request.move = request.epoch = kMove;
    request.plan.vm.uuid = kUuid;
    request.plan.vm.name = "web01";
    request.plan.placements = {{"vda", "/a", top(), "qcow2", mib(64), mib(1), kib(64), false}};
    request.plan.files = {{"vda", base(), file_there_, "raw", mib(64), mib(1), {}, true, shared}};
    request.destination_xml = request.persistent_xml = definition(top());
    request.link_key = std::string(64, '0');
    request.checkpoints = std::move(checkpoints);
    return side_->handle("host1", verb::kReserve, to_json(request));
  }
  Result<std::string> compare(const std::string& path, const std::string& digest) {
    return side_->handle("host1", verb::kFile, to_json(FileRequest{kMove, path, digest}));
  }

  const fs::path folder_ = fs::temp_directory_path() / ("drover-items-" + random_name(8));
  const fs::path images_ = folder_ / "images";
  std::string file_there_ = there();
  fake::FakeHypervisor hypervisor_{{}};
  Nobody peers_;
  ScriptedCarriage carriage_;
  Slots slots_;
  Bandwidth bandwidth_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  std::optional<World> world_;
  std::optional<DestinationSide> side_;
};

TEST_F(Items, AFileOfTheSameContentIsUsed) {
  auto report = preflight();
  EXPECT_TRUE(report.takes_items);
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_FALSE(report.files[0].present);
  ASSERT_NE(find(report, "DISK_BACKING_CHAIN"), nullptr);

  fs::copy_file(base(), there());
  report = preflight();
  EXPECT_TRUE(report.files[0].present && !report.files[0].shared);
  EXPECT_EQ(find(report, "DISK_BACKING_CHAIN"), nullptr);
  EXPECT_EQ(find(report, "DISK_EXISTS"), nullptr);

  std::ofstream(there(), std::ios::app) << "x";
  report = preflight();
  EXPECT_FALSE(report.files[0].present);
  EXPECT_NE(find(report, "DISK_EXISTS"), nullptr);
}

TEST_F(Items, TheWholeFileIsComparedBeforeTheMove) {
  fs::copy_file(base(), there());
  ASSERT_TRUE(reserve());
  const std::string digest =
      *content::file_digest(UniqueFd(::open(base().c_str(), O_RDONLY)).get());
  EXPECT_TRUE(compare(there(), digest));
  EXPECT_EQ(compare(top(), digest).error().code, ErrorCode::kConflict) << "not a file of this move";
  std::fstream(there()) << "other";
  const auto differs = compare(there(), digest);
  ASSERT_FALSE(differs);
  EXPECT_EQ(differs.error().code, ErrorCode::kConflict);
  EXPECT_EQ(side_->handle("host3", verb::kFile, to_json(FileRequest{kMove, there(), digest}))
                .error()
                .code,
            ErrorCode::kNotFound);
}

TEST_F(Items, TheImageStandsOnTheFileThatIsThere) {
  fs::copy_file(base(), there());
  ASSERT_TRUE(reserve());
  const auto prepared = side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove}));
  ASSERT_TRUE(prepared) << prepared.error().text();
  const auto facts = image_facts(top(), "qcow2");
  ASSERT_TRUE(facts) << facts.error().text();
  ASSERT_EQ(facts->layers.size(), 1u);
  EXPECT_EQ(facts->layers[0].path, there());
  EXPECT_EQ(facts->layers[0].format, "raw");
  ASSERT_TRUE(side_->handle("host1", verb::kUndo, to_json(MoveName{kMove})));
  EXPECT_TRUE(!fs::exists(top()) && fs::exists(there())) << "what was there before stays";
}

TEST_F(Items, NothingIsBuiltOnAFileOutsideTheAllowedFolders) {
  for (const std::string& path : {std::string("/etc/shadow"), images_.string() + "/../x"}) {
    file_there_ = path;
    const auto refused = reserve();
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().code, ErrorCode::kPolicy);
  }
}

TEST_F(Items, AFileThatIsSaidToBeSharedMustBeShown) {
  fs::copy_file(base(), there());
  const auto refused = reserve({}, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPolicy);
}

TEST_F(Items, CheckpointsAreAdaptedAndJudgedInThePlan) {
  fs::copy_file(base(), there());
  auto report = preflight({checkpoint(definition(base()))});
  ASSERT_EQ(report.checkpoints.size(), 1u);
  EXPECT_NE(report.checkpoints[0].xml.find(there()), std::string::npos);
  EXPECT_TRUE(report.checkpoints[0].current);
  report = preflight({checkpoint(definition("/etc/shadow"))});
  EXPECT_TRUE(report.checkpoints.empty());
  EXPECT_NE(find(report, "CHECKPOINT_FILES"), nullptr);
}

TEST_F(Items, ACheckpointMayNameNoMoreThanADefinition) {
  fs::copy_file(base(), there());
  EXPECT_EQ(reserve({checkpoint(definition("/etc/shadow"))}).error().code, ErrorCode::kPolicy);
  std::string evil = definition(top());
  evil.insert(evil.find("<devices>") + 9, "<emulator>/tmp/evil</emulator>");
  EXPECT_EQ(reserve({checkpoint(evil)}).error().code, ErrorCode::kPolicy);
  std::string other = definition(top());
  other.replace(other.find("web01"), 5, "web02");
  EXPECT_EQ(reserve({checkpoint(other)}).error().code, ErrorCode::kPolicy);
  EXPECT_TRUE(reserve({checkpoint(definition(top()))}));
}

TEST_F(LiveMoveSwitch, CheckpointsAreKnownAgainWhenTheVmStays) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", false}, {"later", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(hypervisor_.known.size(), 2u);
  EXPECT_TRUE(hypervisor_.known[1].name == "later" && hypervisor_.known[1].current);
}

TEST_F(LiveMoveSwitch, CheckpointsThatTheDestinationDoesNotTakeAreSaid) {
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  VerifyReply reply{true, "running", std::chrono::milliseconds(40), {}, {}};
  reply.checkpoints_lost = "libvirt says no.";
  peer_.verifies.push_back(to_json(reply));
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kDone);
  EXPECT_NE(move.explanation.find("libvirt says no"), std::string::npos);
}

TEST(ItemJobs, KeepCheckpointsOverARestart) {
  SourceJob job;
  job.move.id = "k3f9x2qa";
  job.checkpoints = {{"clean", "<domainsnapshot>ž</domainsnapshot>", true}};
  job.destination_checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job.checkpoints_forgotten = true;
  const auto read = source_job_from_json(to_json(job));
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->checkpoints.size(), 1u);
  EXPECT_TRUE(read->checkpoints[0].xml == job.checkpoints[0].xml && read->checkpoints[0].current);
  EXPECT_TRUE(read->destination_checkpoints.size() == 1 && read->checkpoints_forgotten);
}

}  // namespace
}  // namespace drover::move
