// SPDX-License-Identifier: Apache-2.0
// Disks that both hosts see: believed by either side only when the other has shown it.
#include "move/plan/shared_disks.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/disk_image.h"
#include "hypervisor/fake/fake.h"
#include "move/destination/destination_fixture.h"
#include "move/plan/planner.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

std::string definition(const std::string& uuid, const std::string& name, const std::string& disk) {
  return "<domain type='qemu'><name>" + name + "</name><uuid>" + uuid +
         "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
         "name='qemu' type='qcow2'/><source file='" +
         disk + "'/><target dev='vda' bus='virtio'/></disk></devices></domain>";
}

// The destination's checks as host2 makes them, and what it then says of them.
class Destination final : public net::PeerTransport {
 public:
  fake::FakeHypervisor hypervisor{{}};
  HostSettings settings;
  std::function<void(preflight::DestinationReport&)> lie;
  Result<std::string> call(std::string_view, std::string_view, std::string_view body,
                           Deadline) override {
    ASSIGN_OR_RETURN(const auto proposal, proposal_from_json(body));
    for (const auto& mark : proposal.marks) EXPECT_EQ(mark.where.length, 0u) << "a secret was told";
    ASSIGN_OR_RETURN(auto report, preflight::check_destination(proposal, hypervisor, settings));
    if (lie) lie(report);
    return to_json(report);
  }
};

class SharedDisks : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "share");
    std::ofstream(disk_) << "image";
    open_world(hypervisor_, peers_);
    pair_with("host2");
    ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"}}));
    ASSERT_TRUE(book_->change_settings(
        {{"allowed-folders", SettingChange::Op::kAdd, (folder_ / "share").string()}}));
    peers_.settings = book_->settings();
    there_world_.emplace(World{peers_.hypervisor, *journal_, *book_, peers_, *records_, carriage_,
                               slots_, bandwidth_, "host2", "00"});
    there_.emplace(*there_world_, [] { return std::vector<Vm>{}; });
    ASSERT_TRUE(hypervisor_.define(definition(kUuid, "web01", disk_)));
    ASSERT_TRUE(hypervisor_.start(kUuid));
  }
  void TearDown() override {
    there_.reset();
    there_world_.reset();
    close_world();
  }
  Result<Plan> plan() {
    MoveRequest request;
    request.vm = "web01";
    request.destination = "host2";
    ASSIGN_OR_RETURN(Planned planned, plan_move(*world_, request));
    return planned.plan;
  }
  // As host2, on the same journal: what it says to a source's reservation.
  Result<std::string> reserve(std::vector<preflight::DiskMark> marks) {
    ReserveRequest request = reservation(definition(kUuid, "web01", disk_));
    request.plan.placements = {{"vda", disk_, disk_, "qcow2", mib(64), mib(1), kib(64), true}};
    request.marks = std::move(marks);
    return there_->handle("host2", verb::kReserve, to_json(request));
  }
  Result<std::string> ask(std::string_view verb) {
    return there_->handle("host2", verb, to_json(MoveName{kMove}));
  }

  const std::string disk_ = (folder_ / "share/web01.qcow2").string();
  fake::FakeHypervisor hypervisor_{{}};
  Destination peers_;
  std::optional<World> there_world_;
  std::optional<DestinationSide> there_;
};

TEST_F(SharedDisks, ThePlanCountsNothingOfThem) {
  const auto made = plan();
  ASSERT_TRUE(made) << made.error().text();
  ASSERT_EQ(made->placements.size(), 1u);
  EXPECT_TRUE(made->placements[0].shared);
  EXPECT_EQ(made->bytes_expected, made->vm.memory);
  EXPECT_EQ(made->quarantine_bytes, ByteCount{});
  EXPECT_TRUE(shares_disks(*made));
  EXPECT_FALSE(copies_disks(*made));
}

TEST_F(SharedDisks, ADiscThatBothHostsSeeIsNotCopied) {
  const std::string disc = (folder_ / "share/a.iso").string();
  std::ofstream(disc) << "disc";
  std::string xml = definition(kUuid, "web01", disk_);
  xml.insert(xml.find("</devices>"), "<disk type='file' device='cdrom'><source file='" + disc +
                                         "'/><target dev='sda' bus='sata'/><readonly/></disk>");
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  ASSERT_TRUE(hypervisor_.define(xml));
  MoveRequest request;
  request.vm = "web01";
  request.destination = "host2";
  request.media = Media::kCopy;
  const auto made = plan_move(*world_, request);
  ASSERT_TRUE(made) << made.error().text();
  ASSERT_EQ(made->plan.files.size(), 1u);
  EXPECT_TRUE(made->plan.files[0].item == "sda" && made->plan.files[0].shared);
  EXPECT_TRUE(room_for(made->plan).empty());
}

TEST_F(SharedDisks, ADestinationThatDidNotSeeTheMarkIsNotBelieved) {
  for (const std::uint64_t change : {1, -1}) {
    peers_.lie = [=](auto& report) { report.marks.at(0).where.length += change; };
    const auto made = plan();
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kProtocol);
  }
  peers_.lie = [](auto& report) { report.marks.clear(); };
  EXPECT_EQ(plan().error().code, ErrorCode::kProtocol);
}

TEST_F(SharedDisks, ADestinationThatSeesAnotherFileThereIsBlocked) {
  // On host2 the path leads to a file of its own: what was marked is another inode.
  peers_.lie = {};
  const auto marks = DiskMarks::on(hypervisor_.find_vm("web01").value());
  ASSERT_EQ(marks.where().size(), 1u);
  fs::rename(disk_, disk_ + ".other");
  std::ofstream(disk_) << "image";
  preflight::Proposal proposal;
  proposal.vm = hypervisor_.find_vm("web01").value();
  proposal.live_xml = proposal.persistent_xml = definition(kUuid, "web01", disk_);
  proposal.marks = marks.where();
  const auto report = preflight::check_destination(proposal, peers_.hypervisor, book_->settings());
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->placements.at(0).shared);
}

TEST_F(SharedDisks, AReservationNeedsTheMarkOnThatVeryFile) {
  const auto none = reserve({});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kPolicy) << none.error().text();
  {
    const auto other = MarkedImage::mark((folder_ / "drover.db").string());
    ASSERT_TRUE(other);
    EXPECT_EQ(reserve({{"vda", other->where()}}).error().code, ErrorCode::kPolicy);
  }
  const auto marked = MarkedImage::mark(disk_);
  ASSERT_TRUE(marked);
  auto longer = marked->where();
  ++longer.length;
  EXPECT_EQ(reserve({{"vda", longer}}).error().code, ErrorCode::kPolicy);
  EXPECT_EQ(reserve({{"vdb", marked->where()}}).error().code, ErrorCode::kPolicy);
  const auto reserved = reserve({{"vda", marked->where()}});
  EXPECT_TRUE(reserved) << reserved.error().text();
}

TEST_F(SharedDisks, TheDestinationReadsThemAndMakesAndRemovesNothing) {
  const auto marked = MarkedImage::mark(disk_);
  ASSERT_TRUE(marked);
  const FileIdentity before = file_identity(disk_).value();
  ASSERT_TRUE(reserve({{"vda", marked->where()}}));
  const auto prepared = ask(verb::kPrepare);
  ASSERT_TRUE(prepared) << prepared.error().text();
  EXPECT_EQ(carriage_.state.held_files, 1u);
  const auto job = journal_->job(journal::Side::kDestination, kMove);
  ASSERT_TRUE(job);
  EXPECT_TRUE(destination_job_from_json(*job)->created.empty());
  const auto undone = ask(verb::kUndo);
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_EQ(file_identity(disk_).value(), before);
}

TEST_F(SharedDisks, AnImageThatAnotherVmThereNamesIsNotTaken) {
  const auto marked = MarkedImage::mark(disk_);
  ASSERT_TRUE(marked);
  ASSERT_TRUE(
      peers_.hypervisor.define(definition("11111111-2222-4333-8444-555555555555", "other", disk_)));
  const auto reserved = reserve({{"vda", marked->where()}});
  ASSERT_FALSE(reserved);
  EXPECT_EQ(reserved.error().code, ErrorCode::kConflict) << reserved.error().text();
}

}  // namespace
}  // namespace drover::move
