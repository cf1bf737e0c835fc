// SPDX-License-Identifier: Apache-2.0
// Disks that become volumes of pools of block devices at the destination.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "hypervisor/adapt_definition.h"
#include "move/destination/destination_fixture.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

HostFacts with_a_pool() {
  HostFacts facts;
  facts.pools = {{"vg", "logical", "/nowhere", true}};
  return facts;
}

class DestinationVolumes : public DestinationFixture {
 protected:
  DestinationVolumes() : DestinationFixture({"host2", with_a_pool(), {}, {}}) {}
  void SetUp() override {
    DestinationFixture::SetUp();
    pool_ = (folder_ / "vg").string();
    fs::create_directory(pool_);
    std::ofstream(pool_ + "/other") << "another's";
    hypervisor_.volume_pools = {{"vg", "logical", pool_, "", gib(1), {}}};
  }

  ReserveRequest wanted(const std::string& volume = "web01-vda") const {
    DiskPlacement disk{"vda", "/a", pool_ + "/" + volume, "raw", mib(4), mib(4), {}, false, {},
                       "",    "vg"};
    const std::string here =
        std::string("<domain type='qemu'><name>web01</name><uuid>") + kUuid +
        "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
        "machine='pc-q35-7.2'>hvm</type></os><devices><disk type='file' device='disk'><driver "
        "name='qemu' type='qcow2'/><source file='/a'/><target dev='vda' "
        "bus='virtio'/></disk></devices></domain>";
    const auto adapted = adapt_definition(here, {&disk, 1}, "");
    EXPECT_TRUE(adapted);
    ReserveRequest request = reservation(adapted.value_or(""));
    request.plan.placements = {disk};
    return request;
  }
  bool is_there(const std::string& volume) const { return fs::exists(pool_ + "/" + volume); }

  std::string pool_;
};

TEST_F(DestinationVolumes, IsMadeAndWrittenDownAndGoneAfterAnUndo) {
  reserve_and_prepare(wanted());
  EXPECT_EQ(fs::file_size(pool_ + "/web01-vda"), 4u << 20);
  const auto job = job_in_journal();
  ASSERT_EQ(job.created.size(), 1u);
  EXPECT_EQ(job.created[0].pool, "vg");
  EXPECT_FALSE(job.created[0].key.empty());
  for (int twice = 0; twice < 2; ++twice) {
    const auto undone = call(verb::kUndo);
    ASSERT_TRUE(undone) << undone.error().text();
    EXPECT_FALSE(is_there("web01-vda"));
  }
  EXPECT_TRUE(is_there("other"));
}

TEST_F(DestinationVolumes, AnotherOneByThatNameIsLeftAlone) {
  reserve_and_prepare(wanted());
  fs::rename(pool_ + "/web01-vda", pool_ + "/ours");  // keeps its inode, so the next has another
  std::ofstream(pool_ + "/web01-vda") << "another's";
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_TRUE(is_there("web01-vda"));
}

// Nobody can tell it from one that somebody else has made meanwhile.
TEST_F(DestinationVolumes, OneThatWasMadeWithoutAnAnswerStays) {
  hypervisor_.at_create_volume = [this]() -> Status {
    std::ofstream(pool_ + "/web01-vda") << "made";
    return fail(ErrorCode::kUnavailable, "libvirt does not answer.");
  };
  ASSERT_TRUE(reserve(wanted()));
  EXPECT_FALSE(call(verb::kPrepare));
  EXPECT_TRUE(is_there("web01-vda"));
  EXPECT_TRUE(job_in_journal().undone);
  EXPECT_TRUE(is_there("other"));
}

TEST_F(DestinationVolumes, OneThatSomebodyMakesMeanwhileIsTheirs) {
  hypervisor_.at_create_volume = [this]() -> Status {
    std::ofstream(pool_ + "/web01-vda") << "another's";
    return fail(ErrorCode::kConflict, "It is there already.");
  };
  ASSERT_TRUE(reserve(wanted()));
  EXPECT_FALSE(call(verb::kPrepare));
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_TRUE(is_there("web01-vda"));
}

TEST_F(DestinationVolumes, APeerNamesOnlyNewVolumesOfThePool) {
  EXPECT_EQ(reserve(wanted("other")).error().code, ErrorCode::kConflict);
  EXPECT_EQ(reserve(wanted("../escaped")).error().code, ErrorCode::kPolicy);
  ReserveRequest request = wanted();
  request.plan.placements[0].destination_pool.clear();
  EXPECT_EQ(reserve(request).error().code, ErrorCode::kPolicy)
      << "a device that the plan does not call a volume";
  request = wanted();
  request.plan.placements[0].format = "qcow2";
  EXPECT_FALSE(reserve(request));
  request = wanted();
  request.plan.placements[0].virtual_size = gib(2);
  EXPECT_EQ(reserve(request).error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(reserve(wanted()));
}

}  // namespace
}  // namespace drover::move
