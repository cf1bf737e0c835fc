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
#include "move/destination/destination_side.h"
#include "move/live/live_move_fixture.h"
#include "move/move_test_support.h"
#include "move/plan/report_check.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
constexpr const char* kMove = "k3f9x2qa";

HostFacts with_a_pool() {
  HostFacts facts;
  facts.pools = {{"volumes", "logical", "/dev/volumes", true}};
  return facts;
}

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

  static Result<std::string> whole(int file) { return content::file_digest(file); }

  preflight::DestinationReport preflight(std::vector<CheckpointText> checkpoints = {}) {
    preflight::Proposal proposal;
    proposal.live_xml = proposal.persistent_xml = definition(top());
    proposal.vm = parse_domain(proposal.live_xml)->vm;
    proposal.vm.disks[0].virtual_size = mib(64);
    proposal.vm.disks[0].layers = {{base(), "raw", mib(64), mib(1), {}}};
    proposal.request.destination = "host2";
    proposal.request.kind = kind_;
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
  // Until it was read.
  Result<std::string> compare(const std::string& path, const std::string& digest) {
    while (true) {
      auto said = side_->handle("host1", verb::kFile, to_json(FileRequest{kMove, path, digest}));
      if (said || said.error().code != ErrorCode::kTimeout) return said;
    }
  }

  const fs::path folder_ = fs::temp_directory_path() / ("drover-items-" + random_name(8));
  const fs::path images_ = folder_ / "images";
  std::string file_there_ = there();
  std::optional<MoveKind> kind_;
  fake::FakeHypervisor hypervisor_{{"host2", with_a_pool(), {}, {}}};
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

// A move that sends files as they are brings it along.
TEST_F(Items, AFileThatIsMissingComesWithAColdMove) {
  kind_ = MoveKind::kOffline;
  const auto report = preflight();
  EXPECT_TRUE(takes_whole_files(to_json(report)));
  EXPECT_FALSE(takes_whole_files("{}")) << "an earlier release";
  ASSERT_NE(find(report, "DISK_BACKING_CHAIN"), nullptr);
  EXPECT_EQ(find(report, "DISK_BACKING_CHAIN")->level, FindingLevel::kNote);
  EXPECT_FALSE(report.files[0].present);
  std::ofstream(there()) << "another";
  EXPECT_NE(find(preflight(), "DISK_EXISTS"), nullptr);
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

// A file that takes long keeps neither this verb nor events nor an undo waiting.
TEST_F(Items, ALargeFileIsReadOnTheSide) {
  std::ofstream(there(), std::ios::binary);
  fs::resize_file(there(), std::uintmax_t{16} << 30);  // of holes, which are hashed like others
  ASSERT_TRUE(reserve());
  const auto begun = std::chrono::steady_clock::now();
  const auto said = side_->handle("host1", verb::kFile,
                                  to_json(FileRequest{kMove, there(), std::string(64, '0')}));
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::kTimeout);
  ASSERT_TRUE(side_->handle("host1", verb::kUndo, to_json(MoveName{kMove})));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

TEST_F(Items, TheImageStandsOnTheFileThatIsThere) {
  fs::copy_file(base(), there());
  ASSERT_TRUE(reserve());
  const auto blind = side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove}));
  ASSERT_FALSE(blind);
  EXPECT_EQ(blind.error().code, ErrorCode::kConflict) << "the source has not said what it holds";
  ASSERT_TRUE(compare(there(), digest_of(base(), whole)));
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

// Allowed is not shown: another VM may have it.
TEST_F(Items, ACheckpointNamesNoNetworkDiskThatThePlanDoesNotHave) {
  ASSERT_TRUE(book_->change_settings(
      {{"network-disks", SettingChange::Op::kAdd, "nbd://127.0.0.1:10809/other"}}));
  fs::copy_file(base(), there());
  std::string network = definition(top());
  network.insert(network.find("</devices>"),
                 "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source "
                 "protocol='nbd' name='other'><host name='127.0.0.1'/></source><target dev='vdb' "
                 "bus='virtio'/></disk>");
  EXPECT_EQ(reserve({checkpoint(network)}).error().code, ErrorCode::kPolicy);
  EXPECT_TRUE(preflight({checkpoint(network)}).checkpoints.empty());
}

// Whatever VM's volume that is: nothing of the move brings it.
TEST_F(Items, ACheckpointNamesNoVolume) {
  fs::copy_file(base(), there());
  std::string volume = definition(top());
  volume.insert(volume.find("</devices>"),
                "<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source "
                "pool='volumes' volume='other'/><target dev='vdb' bus='virtio'/></disk>");
  EXPECT_EQ(reserve({checkpoint(volume)}).error().code, ErrorCode::kPolicy);
}

// Who deletes one at the destination does not find it again when the source asks once more.
TEST_F(Items, CheckpointsAreToldOnce) {
  fs::copy_file(base(), there());
  ASSERT_TRUE(reserve({checkpoint(definition(top()))}));
  ASSERT_TRUE(hypervisor_.define(definition(top())));
  ASSERT_TRUE(hypervisor_.start(kUuid));
  const auto verify = [&] {
    return side_->handle("host1", verb::kVerify, to_json(MoveName{kMove}));
  };
  int told = 0;
  bool takes = false;
  hypervisor_.at_checkpoints = [&](bool known) -> Status {
    told += known ? 1 : 0;
    return takes ? Status{} : fail(ErrorCode::kHypervisor, "libvirt says no.");
  };
  // The definition's own file is not there in a test: what is said of checkpoints comes before.
  (void)verify();
  takes = true;
  (void)verify();
  EXPECT_EQ(told, 2) << "what was refused is told again";
  ASSERT_TRUE(hypervisor_.checkpoints(kUuid));
  (void)verify();
  EXPECT_EQ(told, 2);
}

TEST_F(LiveMoveSwitch, CheckpointsAreKnownAgainWhenTheVmStays) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", false}, {"later", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  ASSERT_EQ(hypervisor_.known.size(), 2u);
  EXPECT_TRUE(hypervisor_.known[1].name == "later" && hypervisor_.known[1].current);
}

// A transient one: it has no next boot.
Vm with_drive(const std::string& path) {
  Vm vm;
  vm.persistent = false;
  Disk drive;
  drive.target = "sda";
  drive.device = DiskDevice::kCdrom;
  drive.path = path;
  vm.disks.push_back(drive);
  return vm;
}

TEST_F(LiveMoveSwitch, ADiscIsInsertedAgainWhenTheVmStays) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.change_fails_with = {ErrorCode::kTimeout};  // its own job has not ended yet
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sda=/iso/a.iso"});
}

TEST_F(LiveMoveSwitch, WhatSomebodyElseInsertedStays) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("/iso/b.iso");
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_TRUE(hypervisor_.changed.empty());
}

// A droverd ended between the two, or somebody has filled one of them since.
TEST_F(LiveMoveSwitch, ADiscIsInsertedUnlessTheNextBootHasAnother) {
  const auto drive = [](const std::string& source) {
    return fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><devices><disk type='{}' "
        "device='cdrom'>{}<target dev='sda'/></disk></devices></domain>",
        kUuid, source.contains("protocol") ? "network" : "file", source);
  };
  const std::string nothing = drive(""), ours = drive("<source file='/iso/a.iso'/>"),
                    other = drive("<source file='/iso/b.iso'/>"),
                    served = drive("<source protocol='https' name='b.iso'/>");
  struct Case {
    VmState state;
    std::string now, next_boot;
    bool inserted;
  };
  const Case cases[] = {
      {VmState::kRunning, "", nothing, true},
      {VmState::kRunning, "/iso/a.iso", nothing, true},
      {VmState::kRunning, "", ours, true},
      {VmState::kRunning, "/iso/a.iso", ours, false},
      {VmState::kRunning, "", other, false},
      {VmState::kRunning, "", served, false},
      {VmState::kRunning, "", drive("").replace(drive("").find("'sda'"), 5, "'sdb'"), true},
      {VmState::kRunning, "/iso/b.iso", nothing, false},
      {VmState::kOff, "", nothing, true},
      {VmState::kOff, "/iso/b.iso", other, false},
  };
  for (const Case& c : cases) {
    // The end of the move before took its record along.
    if (&c != cases) {
      ASSERT_TRUE(records_->create_source({kUuid, "k3f9x2qa"}, "k3f9x2qa"));
    }
    record(gate::SourceState::kKept);
    job_.ejected = {known_file("sda", "/iso/a.iso", {})};
    hypervisor_.vm = with_drive(c.now);
    hypervisor_.vm->persistent = true;
    hypervisor_.vm->state = c.state;
    hypervisor_.next_boot = c.next_boot;
    hypervisor_.changed.clear();
    EXPECT_EQ(resume().state, MoveState::kFailed);
    EXPECT_EQ(hypervisor_.changed.size(), c.inserted ? 1u : 0u)
        << vm_state_words(c.state) << ", now '" << c.now << "', then " << c.next_boot;
  }
}

// 15 s, as a libvirt that says no is asked. The journal keeps what is not back.
TEST_F(LiveMoveSwitch, ADiscThatIsNotBackIsSaidAndNotForgotten) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {}), known_file("sdb", "/iso/b.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.vm->disks.push_back(hypervisor_.vm->disks.front());
  hypervisor_.vm->disks.back().target = "sdb";
  hypervisor_.never = {"sda=/iso/a.iso"};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sdb=/iso/b.iso"});
  const SourceJob job = move.take_job();
  ASSERT_EQ(job.ejected.size(), 1u);
  EXPECT_EQ(job.ejected[0].target, "sda");
  EXPECT_TRUE(job.move.explanation.contains("virsh change-media web01 sda /iso/a.iso"))
      << job.move.explanation;
  EXPECT_TRUE(job.move.explanation.contains("libvirt says no")) << job.move.explanation;
}

// For longer than one that says no is asked.
TEST_F(LiveMoveSwitch, ADiscWaitsForALibvirtThatIsAway) {
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  hypervisor_.change_fails_with.assign(32, ErrorCode::kUnavailable);
  record(gate::SourceState::kKept);
  const Move move = resume();
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"sda=/iso/a.iso"});
  EXPECT_FALSE(move.explanation.contains("does not answer")) << move.explanation;
}

constexpr const char* kCard =
    "<interface type='hostdev'><mac address='52:54:00:00:00:02'/><teaming type='transient' "
    "persistent='ua-a'/></interface>";

// It was asked to let it go, by a droverd before this one.
TEST_F(LiveMoveSwitch, ACardThatTheGuestLetsGoTooLateIsPluggedInAgain) {
  const std::string there = fmt::format("<domain><devices>{}</devices></domain>", kCard);
  job_.unplugged = {kCard};
  hypervisor_.definitions = {there, there, "<domain/>"};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"plug 52:54:00:00:00:02"});
  EXPECT_TRUE(move.take_job().unplugged.empty());
}

TEST_F(LiveMoveSwitch, ACardThatTheGuestMayStillLetGoIsSaid) {
  job_.unplugged = {kCard};
  hypervisor_.definitions = {fmt::format("<domain><devices>{}</devices></domain>", kCard)};
  record(gate::SourceState::kKept);
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.resume(std::stop_token());
  EXPECT_TRUE(hypervisor_.changed.empty());
  const SourceJob job = move.take_job();
  EXPECT_EQ(job.unplugged, std::vector<std::string>{kCard});
  EXPECT_TRUE(job.move.explanation.contains("may still let it go")) << job.move.explanation;
  EXPECT_TRUE(job.move.explanation.contains("virsh attach-device web01")) << job.move.explanation;
}

TEST_F(LiveMoveSwitch, CardsArePluggedInAgainWhenTheVmStaysAndOnlyThen) {
  job_.unplugged = {kCard};
  record(gate::SourceState::kKept);
  EXPECT_EQ(resume().state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.changed, std::vector<std::string>{"plug 52:54:00:00:00:02"});
}

TEST_F(LiveMoveSwitch, WhatLeftTheVmForGoodIsNotPutBack) {
  job_.unplugged = {"<interface><teaming type='transient'/></interface>"};
  job_.ejected = {known_file("sda", "/iso/a.iso", {})};
  hypervisor_.vm = with_drive("");
  record(gate::SourceState::kSwitching);
  record(gate::SourceState::kReleased);
  EXPECT_EQ(resume().state, MoveState::kDone);
  EXPECT_TRUE(hypervisor_.changed.empty());
}

// libvirtd is away, for longer than a libvirt that says no is asked: the move goes on until it has
// been told.
TEST_F(LiveMoveSwitch, CheckpointsAreNotGivenUpWhileLibvirtIsAway) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  record(gate::SourceState::kKept);
  hypervisor_.knows = [asked = 0]() mutable -> Status {
    return ++asked < 4 ? fail(ErrorCode::kUnavailable, "libvirtd is away.") : Status{};
  };
  const Move move = resume();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(hypervisor_.known.size(), 1u);
  EXPECT_FALSE(move.explanation.contains("away")) << move.explanation;
}

// What libvirt says of them now would be written over what is known of them.
TEST_F(LiveMoveSwitch, NoAttemptFollowsWithoutTheCheckpoints) {
  job_.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  job_.checkpoints_forgotten = true;
  job_.migrate_called = job_.carriers_started = false;
  job_.move.phase = Phase::kPlan;
  LiveMove move(*world_, job_, [](MoveChange, const Move&) {});
  move.run(std::stop_token());
  EXPECT_EQ(move.snapshot().state, MoveState::kFailed);
  EXPECT_TRUE(move.snapshot().error->message.contains("checkpoints"))
      << move.snapshot().error->text();
  ASSERT_EQ(hypervisor_.known.size(), 1u) << "and they were told once more";
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
  job.ejected = {known_file("sda", "/iso/a.iso", {})};
  job.unplugged = {"<interface/>"};
  const auto read = source_job_from_json(to_json(job));
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->checkpoints.size(), 1u);
  EXPECT_TRUE(read->checkpoints[0].xml == job.checkpoints[0].xml && read->checkpoints[0].current);
  EXPECT_TRUE(read->destination_checkpoints.size() == 1 && read->checkpoints_forgotten);
  ASSERT_EQ(read->ejected.size(), 1u);
  EXPECT_TRUE(read->ejected[0].target == "sda" && read->ejected[0].path == "/iso/a.iso");
  EXPECT_EQ(read->unplugged, job.unplugged);
}

}  // namespace
}  // namespace drover::move
