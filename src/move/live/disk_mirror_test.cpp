// SPDX-License-Identifier: Apache-2.0
#include "move/live/disk_mirror.h"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"
#include "move/qmp.h"

namespace drover::move {
namespace {

using qmp::Json;
using namespace std::chrono_literals;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
constexpr const char* kName = "drover-k3f9x2qa-vda";
const std::string kDefinition =
    std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
    "</uuid><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><disk type='file' "
    "device='disk'><driver name='qemu' type='qcow2'/><source file='/images/a.qcow2'/><target "
    "dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk></devices></domain>";

// A QEMU with one drive, whose jobs are as the test says.
class DiskMirrorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(hypervisor_.define(kDefinition) && hypervisor_.start(kUuid));
    hypervisor_.qemu = [this](const std::string& text) {
      const Json asked = Json::parse(text);
      const std::string what = asked["execute"];
      asked_.push_back(what);
      if (refuses_ == what) return refusal_;
      if (what == "blockdev-mirror") status_ = "running";
      if (what == "block-job-cancel" && !asked["arguments"].contains("force") && ends_)
        status_ = "concluded";
      if (what == "block-job-cancel" && asked["arguments"].contains("force")) status_ = "concluded";
      if (what == "job-dismiss") status_.clear();
      Json answer = Json::object();
      if (what == "query-block") {
        answer = Json::array({{{"qdev", "/machine/peripheral/virtio-disk0/virtio-backend"},
                               {"inserted", {{"node-name", "libvirt-1-format"}}}}});
      }
      if (what == "query-jobs") answer = jobs();
      if (what == "query-named-block-nodes")
        answer = Json::array({{{"node-name", kName}}, {{"node-name", "libvirt-1-format"}}});
      return Json{{"return", answer}}.dump();
    };
  }
  Json jobs() const {
    Json all = Json::array({{{"id", "of-somebody"}, {"status", "running"}}});
    if (status_.empty()) return all;
    Json ours{{"id", kName}, {"status", status_}, {"current-progress", 3}, {"total-progress", 8}};
    if (!error_.empty()) ours["error"] = error_;
    all.push_back(ours);
    return all;
  }
  Result<DiskMirror> begin(const char* target = "vda") {
    return DiskMirror::begin(hypervisor_, {kUuid, "k3f9x2qa", target, "/run/nbd.sock"});
  }
  std::size_t asked(const char* what) const {
    return static_cast<std::size_t>(std::ranges::count(asked_, what));
  }

  fake::FakeHypervisor hypervisor_{{}};
  std::vector<std::string> asked_;
  std::string status_, error_, refuses_, refusal_ = R"({"error":{"desc":"No."}})";
  bool ends_ = true;
};

TEST_F(DiskMirrorTest, FollowsQemusJobToItsEnd) {
  auto mirror = begin();
  ASSERT_TRUE(mirror) << mirror.error().text();
  const auto now = mirror->progress();
  ASSERT_TRUE(now);
  EXPECT_FALSE(now->ready);
  EXPECT_EQ(now->done.bytes, 3u);
  EXPECT_EQ(now->total.bytes, 8u);
  EXPECT_FALSE(mirror->finish(1s)) << "not before it is ready";
  EXPECT_EQ(asked("block-job-cancel"), 0u);
  status_ = "ready";
  EXPECT_TRUE(mirror->progress()->ready);
  const auto ended = mirror->finish(1s);
  EXPECT_TRUE(ended) << ended.error().text();
  EXPECT_EQ(asked("blockdev-del"), 1u);
}

TEST_F(DiskMirrorTest, AJobThatFailedIsNoEnd) {
  auto mirror = begin();
  status_ = "concluded";
  error_ = "Input/output error";
  EXPECT_TRUE(mirror->progress().error().text().contains("Input/output error"));
  status_ = "ready";
  error_.clear();
  ends_ = false;
  EXPECT_EQ(mirror->finish(50ms).error().code, ErrorCode::kTimeout);
  status_.clear();
  EXPECT_FALSE(mirror->progress()) << "it vanished";
}

TEST_F(DiskMirrorTest, ARefusalLeavesNothing) {
  refuses_ = "blockdev-mirror";
  EXPECT_EQ(begin().error().code, ErrorCode::kHypervisor);
  EXPECT_EQ(asked("blockdev-del"), 1u);
  EXPECT_EQ(begin("vdz").error().code, ErrorCode::kNotFound);
}

// Of two refusals one is for ever.
TEST_F(DiskMirrorTest, ACommandThatQemuDoesNotKnowIsTold) {
  refuses_ = "blockdev-mirror";
  EXPECT_FALSE(qmp::is_unknown_command(begin().error()));
  refusal_ = R"({"error":{"class":"CommandNotFound","desc":"The command has not been found"}})";
  EXPECT_TRUE(qmp::is_unknown_command(begin().error()));
}

TEST_F(DiskMirrorTest, OfAnEarlierDroverdIsEndedToo) {
  ASSERT_TRUE(begin());
  const auto ended = end_mirrors(hypervisor_, kUuid, "k3f9x2qa");
  EXPECT_TRUE(ended) << ended.error().text();
  EXPECT_TRUE(status_.empty());
  EXPECT_EQ(asked("blockdev-del"), 1u) << "ours alone";
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  EXPECT_TRUE(end_mirrors(hypervisor_, kUuid, "k3f9x2qa")) << "it ended with its QEMU";
}

}  // namespace
}  // namespace drover::move
