// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/fake/fake.h"

#include <fcntl.h>
#include <stdlib.h>

#include "hypervisor/conformance.h"

namespace drover::fake {
namespace {

class FakeSubject final : public ConformanceSubject {
 public:
  Hypervisor& hypervisor() override { return fake_; }
  void start(const std::string& uuid) override { ASSERT_TRUE(fake_.start(uuid)); }
  void suspend(const std::string& uuid) override { ASSERT_TRUE(fake_.suspend(uuid)); }

 private:
  FakeHypervisor fake_{{}};
};

constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";

std::string xml(const std::string& disk) {
  return std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
         "</uuid><memory unit='MiB'>512</memory><devices><disk type='file' device='disk'><driver "
         "name='qemu' "
         "type='qcow2'/><source file='" +
         disk + "'/><target dev='vda'/></disk></devices></domain>";
}

// Two hosts, web01 running on the first, and a migration that one step may fail.
struct Pair {
  explicit Pair(std::optional<Step> failing = {})
      : source({.host_name = "host1",
                .facts = {},
                .at_step = [failing](Step step, const std::string&) -> Status {
                  if (step == failing) return fail(ErrorCode::kHypervisor, "cut");
                  return {};
                },
                .progress = {}}),
        destination({.host_name = "host2", .facts = {}, .at_step = {}, .progress = {}}) {
    source.link(destination);
    EXPECT_TRUE(source.define(xml("/a/web01.qcow2")));
    EXPECT_TRUE(source.start(kUuid));
  }
  Status migrate() {
    return source.migrate({.uuid = kUuid,
                           .connection_uri = "qemu+unix:///system?socket=/x",
                           .memory_uri = "unix:///y",
                           .disks_uri = "unix:///z",
                           .destination_xml = xml("/b/web01.qcow2"),
                           .persistent_xml = xml("/b/web01.qcow2"),
                           .copied_disks = {"vda"}});
  }
  RunState::Kind at_source() { return source.run_state(kUuid)->kind; }
  RunState::Kind at_destination() { return destination.run_state(kUuid)->kind; }
  FakeHypervisor source, destination;
};

TEST(FakeMigration, MovesTheGuest) {
  Pair pair;
  ASSERT_TRUE(pair.migrate());
  EXPECT_EQ(pair.at_source(), RunState::Kind::kOff);
  EXPECT_EQ(pair.at_destination(), RunState::Kind::kRunning);
  EXPECT_EQ(pair.destination.find_vm("web01")->disks.at(0).path, "/b/web01.qcow2");
  EXPECT_TRUE(pair.destination.completed_job(kUuid));
  EXPECT_FALSE(pair.destination.completed_job(kUuid));
}

TEST(FakeMigration, LeavesTheGuestOnTheSourceWhenAnyStepBeforeFinishFails) {
  for (const Step step :
       {Step::kPrepare, Step::kDisks, Step::kMemory, Step::kStandstill, Step::kFinish}) {
    Pair pair(step);
    EXPECT_FALSE(pair.migrate());
    EXPECT_EQ(pair.at_source(), RunState::Kind::kRunning);
    EXPECT_EQ(pair.at_destination(), RunState::Kind::kAbsent);
  }
}

TEST(FakeMigration, SplitsTheBrainWhenTheReplyIsLost) {
  Pair pair(Step::kReply);
  EXPECT_FALSE(pair.migrate());
  EXPECT_EQ(pair.at_source(), RunState::Kind::kRunning);
  EXPECT_EQ(pair.at_destination(), RunState::Kind::kRunning);
}

TEST(FakeMigration, IsKeptFromResumingByALockedFence) {
  char path[] = "/tmp/drover-fence-XXXXXX";
  const UniqueFd image(::mkostemp(path, O_CLOEXEC));
  ASSERT_TRUE(image);
  Pair pair(Step::kReply);
  {
    const UniqueFd fence(::open(path, O_RDONLY | O_CLOEXEC));
    const int descriptor = fence.get();
    ASSERT_TRUE(pair.source.hold_descriptors(kUuid, {&descriptor, 1}));
    struct flock lock{};
    lock.l_type = F_RDLCK;
    lock.l_start = 201;
    lock.l_len = 1;
    ASSERT_EQ(::fcntl(fence.get(), F_OFD_SETLK, &lock), 0);
  }  // our own descriptor is gone; the fake's QEMU keeps the lock
  EXPECT_FALSE(pair.migrate());
  EXPECT_EQ(pair.at_source(), RunState::Kind::kPaused);
  EXPECT_FALSE(pair.source.resume(kUuid));
  ASSERT_TRUE(pair.source.drop_descriptors(kUuid));
  EXPECT_TRUE(pair.source.resume(kUuid));
  ::unlink(path);
}

TEST(FakeMigration, AnswersAnAbort) {
  FakeHypervisor destination({});
  FakeHypervisor* asked = nullptr;
  FakeHypervisor source({.host_name = "host1",
                         .facts = {},
                         .at_step = [&](Step step, const std::string& uuid) -> Status {
                           if (step == Step::kMemory) return asked->abort_job(uuid);
                           return {};
                         },
                         .progress = {}});
  asked = &source;
  source.link(destination);
  ASSERT_TRUE(source.define(xml("/a/web01.qcow2")));
  ASSERT_TRUE(source.start(kUuid));
  const auto moved = source.migrate({.uuid = kUuid,
                                     .connection_uri = "",
                                     .memory_uri = "",
                                     .disks_uri = "",
                                     .destination_xml = xml("/b"),
                                     .persistent_xml = xml("/b"),
                                     .copied_disks = {}});
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(source.run_state(kUuid)->kind, RunState::Kind::kRunning);
  EXPECT_EQ(destination.run_state(kUuid)->kind, RunState::Kind::kAbsent);
}

}  // namespace
}  // namespace drover::fake

namespace drover {
INSTANTIATE_TEST_SUITE_P(Fake, HypervisorConformance,
                         testing::Values(ConformanceParameter{
                             "fake", [] { return std::make_unique<fake::FakeSubject>(); }, ""}),
                         [](const auto& tested) { return tested.param.name; });
}  // namespace drover
