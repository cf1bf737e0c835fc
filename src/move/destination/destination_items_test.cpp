// SPDX-License-Identifier: Apache-2.0
// What a destination takes besides disks: files that disks stand on, and checkpoints.
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "content/file_digest.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "move/destination/destination_fixture.h"
#include "move/plan/report_check.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

HostFacts with_a_pool() {
  HostFacts facts;
  facts.pools = {{"volumes", "logical", "/dev/volumes", true}};
  return facts;
}

class Items : public DestinationFixture {
 protected:
  Items() : DestinationFixture({"host2", with_a_pool(), {}, {}}) {}
  void SetUp() override {
    DestinationFixture::SetUp();
    fs::create_directories(images_);
    fs::create_directories(folder_ / "source");
    allow_only(images_);
    std::ofstream(base()) << std::string(100'000, 'b');
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
    if (!disc_.empty()) insert_disc(proposal);
    std::string body = to_json(proposal);
    if (!brings_layers_) body.replace(body.find(kBringsLayers), 6, "other_");
    const auto text = side_->handle("host1", verb::kPreflight, body);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *destination_report_from_json(*text) : preflight::DestinationReport{};
  }
  // The VM has it in its drive, and no layers.
  void insert_disc(preflight::Proposal& proposal) const {
    std::string& xml = proposal.live_xml;
    xml.insert(xml.find("</devices>"), "<disk type='file' device='cdrom'><source file='" + disc_ +
                                           "'/><target dev='sda' bus='sata'/><readonly/></disk>");
    proposal.persistent_xml = xml;
    proposal.vm = parse_domain(xml)->vm;
    proposal.vm.disks[0].virtual_size = mib(64);
    proposal.request.media = Media::kCopy;
    proposal.samples.clear();
    if (fs::exists(disc_)) proposal.samples = {{disc_, {100'000}, digest_of(disc_)}};
  }
  static const Finding* find(const preflight::DestinationReport& report, const std::string& code) {
    const auto found = std::ranges::find(report.findings, code, &Finding::code);
    return found == report.findings.end() ? nullptr : &*found;
  }
  Result<std::string> reserve(std::vector<CheckpointText> checkpoints = {}, bool shared = false) {
    ReserveRequest request = reservation(definition(top()));
    request.plan.placements = {{"vda", "/a", top(), "qcow2", mib(64), mib(1), kib(64), false}};
    request.plan.files = {{"vda", base(), file_there_, "raw", mib(64), mib(1), {}, true, shared}};
    request.checkpoints = std::move(checkpoints);
    return DestinationFixture::reserve(request);
  }
  // Until it was read.
  Result<std::string> compare(const std::string& path, const std::string& digest) {
    while (true) {
      auto said = side_->handle("host1", verb::kFile, to_json(FileRequest{kMove, path, digest}));
      if (said || said.error().code != ErrorCode::kTimeout) return said;
    }
  }

  const fs::path images_ = folder_ / "images";
  std::string file_there_ = there();
  std::optional<MoveKind> kind_;
  bool brings_layers_ = true;  // the source, ahead of a live move
  std::string disc_;           // empty: none
};

TEST_F(Items, AFileOfTheSameContentIsUsed) {
  auto report = preflight();
  EXPECT_TRUE(report.takes_items);
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_FALSE(report.files[0].present);
  ASSERT_NE(find(report, "DISK_BACKING_CHAIN"), nullptr);
  EXPECT_EQ(find(report, "DISK_BACKING_CHAIN")->level, FindingLevel::kNote)
      << "it is brought along";

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

TEST_F(Items, ADiscOfTheSameContentIsUsedAndNoOtherIsInItsPlace) {
  disc_ = base();
  auto report = preflight();
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_TRUE(report.files[0].item == "sda" && report.files[0].destination_path == there());
  EXPECT_EQ(report.files[0].virtual_size.bytes, 100'000u);
  const Finding* found = find(report, "MEDIA_COPIED");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->level, FindingLevel::kNote);
  EXPECT_EQ(find(report, "MEDIA_INSERTED"), nullptr);

  fs::copy_file(base(), there());
  report = preflight();
  EXPECT_TRUE(report.files[0].present);
  EXPECT_EQ(find(report, "MEDIA_COPIED"), nullptr);
  EXPECT_EQ(find(report, "DISK_EXISTS"), nullptr);

  std::ofstream(there(), std::ios::app) << "x";
  report = preflight();
  EXPECT_FALSE(report.files[0].present);
  found = find(report, "DISK_EXISTS");
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(found->object == "sda" && found->what.contains("not the disc")) << found->what;
}

TEST_F(Items, ADiscThatCannotBeReadAtTheSourceIsNotPromised) {
  disc_ = (folder_ / "source/gone.iso").string();
  const auto report = preflight();
  EXPECT_EQ(find(report, "MEDIA_COPIED"), nullptr);
  ASSERT_NE(find(report, "MEDIA_INSERTED"), nullptr);
  EXPECT_EQ(find(report, "MEDIA_INSERTED")->level, FindingLevel::kBlocker);
}

TEST_F(Items, AFileThatIsMissingComesWithAColdMoveToo) {
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

// It would find out when everything else was prepared.
TEST_F(Items, AnEarlierSourceBringsNoLayersAheadOfALiveMove) {
  brings_layers_ = false;
  const auto live = preflight();
  const Finding* const blocker = find(live, "DISK_BACKING_CHAIN");
  ASSERT_NE(blocker, nullptr);
  EXPECT_EQ(blocker->level, FindingLevel::kBlocker);
  EXPECT_TRUE(blocker->what.contains("host1")) << blocker->what;
  kind_ = MoveKind::kOffline;
  EXPECT_EQ(find(preflight(), "DISK_BACKING_CHAIN")->level, FindingLevel::kNote);
  kind_.reset();
  fs::copy_file(base(), there());
  EXPECT_EQ(find(preflight(), "DISK_BACKING_CHAIN"), nullptr) << "it is there";
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
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

TEST_F(Items, TheImageStandsOnTheFileThatIsThere) {
  fs::copy_file(base(), there());
  ASSERT_TRUE(reserve());
  const auto blind = call(verb::kPrepare);
  ASSERT_FALSE(blind);
  EXPECT_EQ(blind.error().code, ErrorCode::kConflict) << "the source has not said what it holds";
  ASSERT_TRUE(compare(there(), digest_of(base(), whole)));
  const auto prepared = call(verb::kPrepare);
  ASSERT_TRUE(prepared) << prepared.error().text();
  const auto facts = image_facts(top(), "qcow2");
  ASSERT_TRUE(facts) << facts.error().text();
  ASSERT_EQ(facts->layers.size(), 1u);
  EXPECT_EQ(facts->layers[0].path, there());
  EXPECT_EQ(facts->layers[0].format, "raw");
  ASSERT_TRUE(call(verb::kUndo));
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
  const auto verify = [&] { return call(verb::kVerify); };
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

}  // namespace
}  // namespace drover::move
