// SPDX-License-Identifier: Apache-2.0
#include "preflight/image_format.h"

#include <gtest/gtest.h>

#include "preflight/preflight_fixture.h"

namespace drover::preflight {
namespace {

class MadeAnew : public testing::Test {
 protected:
  void SetUp() override {
    vm_.name = "web01";
    disk_.target = "vda";
    disk_.path = "/images/web01.qcow2";
    disk_.format = "qcow2";
    request_.format = "raw";
    request_.kind = MoveKind::kOffline;
  }
  std::vector<Finding> found() {
    Findings findings;
    check_made_anew(vm_, request_, disk_, findings);
    auto list = findings.take();
    expect_helpful(list);
    return list;
  }

  Vm vm_;
  Disk disk_;
  MoveRequest request_;
};

TEST(PathInFormat, ChangesAnEndingThatSaysTheFormat) {
  EXPECT_EQ(path_in_format("/a/web.img", "qcow2"), "/a/web.qcow2");
  EXPECT_EQ(path_in_format("/a/web.raw", "qcow2"), "/a/web.qcow2");
  EXPECT_EQ(path_in_format("/a/web.qcow2", "raw"), "/a/web.img");
  EXPECT_EQ(path_in_format("/a/web.img", "raw"), "/a/web.img");
  EXPECT_EQ(path_in_format("/a/web.vm", "qcow2"), "/a/web.vm");
  EXPECT_EQ(path_in_format("/a.img/web", "qcow2"), "/a.img/web");
}

TEST(FormatNow, IsTheSourcesWhereTheCopyBecomesAnother) {
  Plan plan;
  plan.vm.disks.resize(1);
  plan.vm.disks[0].target = "vda";
  plan.vm.disks[0].format = "raw";
  DiskPlacement placement;
  placement.target = "vda";
  placement.format = "qcow2";
  plan.request.format = "qcow2";
  EXPECT_EQ(format_now(plan, placement), "raw");
  placement.target = "vdb";
  EXPECT_EQ(format_now(plan, placement), "qcow2") << "nothing is known of it";
}

TEST_F(MadeAnew, AnImageThatStandsForItselfMay) { EXPECT_TRUE(found().empty()); }

TEST_F(MadeAnew, AChainHasToBecomeOneImage) {
  disk_.backing_chain = {"/images/base.img"};
  ASSERT_EQ(codes(found()), "DISK_BACKING_CHAIN ");
  EXPECT_EQ(found()[0].level, FindingLevel::kBlocker);
  request_.flatten = true;
  EXPECT_TRUE(found().empty());
}

TEST_F(MadeAnew, SaysWhatItShallBecome) {
  disk_.backing_chain = {"/images/base.img"};
  EXPECT_NE(found()[0].what.find("become raw."), std::string::npos);
  request_.allocation = Allocation::kThin;
  EXPECT_NE(found()[0].what.find("become raw and thin."), std::string::npos);
  request_.format = "qcow2";
  EXPECT_NE(found()[0].what.find("become thin."), std::string::npos) << "it is qcow2 already";
  EXPECT_TRUE(is_made_anew(request_, "qcow2"));
  request_.allocation.reset();
  EXPECT_FALSE(is_made_anew(request_, "qcow2"));
}

TEST_F(MadeAnew, CheckpointsWithinItAreToldOfOnce) {
  vm_.checkpoints.resize(1);
  vm_.checkpoints[0].name = "warm";
  vm_.checkpoints[0].internal_disks = {"vda"};
  for (const MoveKind kind : {MoveKind::kOffline, MoveKind::kQuick}) {
    request_.kind = kind;
    EXPECT_EQ(codes(found()), "CHECKPOINT_INTERNAL ");
  }
  for (const MoveKind kind : {MoveKind::kLive, MoveKind::kStorage}) {
    request_.kind = kind;
    EXPECT_TRUE(found().empty()) << "by a check of that kind";
  }
}

TEST_F(MadeAnew, ACheckpointOfOtherDisksKnowsItsFormat) {
  vm_.checkpoints.resize(1);
  vm_.checkpoints[0].name = "warm";
  vm_.checkpoints[0].external_disks = {"vdb"};
  request_.format.clear();
  request_.allocation = Allocation::kFull;
  EXPECT_TRUE(found().empty()) << "which stays the same";
  request_.format = "raw";
  EXPECT_EQ(codes(found()), "CHECKPOINT_FILES ");
  vm_.checkpoints[0].external_disks = {"vda"};
  disk_.backing_chain = {"/images/base.img"};
  request_.flatten = true;
  EXPECT_TRUE(found().empty()) << "--flatten itself is told of";
}

}  // namespace
}  // namespace drover::preflight
