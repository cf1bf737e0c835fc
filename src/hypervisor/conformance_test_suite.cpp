// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fcntl.h>

#include "base/random.h"
#include "hypervisor/conformance.h"
#include "hypervisor/fence_image.h"

namespace drover {
namespace {

constexpr const char* kAbsent = "00000000-0000-4000-8000-000000000000";

std::string make_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  fill_random(bytes);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string text = to_hex(bytes);
  for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, "-");
  return text;
}

// Collects events until one is there that a test waits for.
class Events {
 public:
  explicit Events(Hypervisor& hypervisor) : hypervisor_(hypervisor) {
    hypervisor_.subscribe([this](const VmEvent& event) {
      const std::lock_guard lock(mutex_);
      seen_.push_back(event);
      changed_.notify_all();
    });
  }
  ~Events() { hypervisor_.subscribe({}); }

  bool came(VmEvent::Kind kind, const std::string& uuid) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      return std::any_of(seen_.begin(), seen_.end(), [&](const VmEvent& event) {
        return event.kind == kind && event.uuid == uuid;
      });
    });
  }

 private:
  Hypervisor& hypervisor_;
  std::mutex mutex_;  // guards seen_
  std::condition_variable changed_;
  std::vector<VmEvent> seen_;
};

}  // namespace

void HypervisorConformance::SetUp() {
  subject_ = GetParam().make();
  if (!subject_) GTEST_SKIP() << GetParam().missing;
}

void HypervisorConformance::TearDown() {
  for (const auto& uuid : defined_) {
    (void)hypervisor().destroy(uuid);
    (void)hypervisor().undefine(uuid);
  }
}

std::string HypervisorConformance::define_vm(const std::string& name) {
  const std::string uuid = make_uuid();
  const std::string xml =
      "<domain type='qemu'><name>" + name + "</name><uuid>" + uuid +
      "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
      "machine='pc-q35-7.2'>hvm</type></os></domain>";
  const auto defined = hypervisor().define(xml);
  EXPECT_TRUE(defined) << defined.error().text();
  defined_.push_back(uuid);
  return uuid;
}

VmState HypervisorConformance::state_of(const std::string& uuid) {
  const auto found = hypervisor().find_vm(uuid);
  return found ? found->state : VmState::kOther;
}

TEST_P(HypervisorConformance, SaysWhatTheHostHas) {
  const auto facts = hypervisor().host_facts();
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_TRUE(facts->hypervisor_up);
  EXPECT_FALSE(facts->host_uuid.empty());
  EXPECT_GE(facts->libvirt_version, 8'000'000u);
  EXPECT_GT(facts->memory_total.bytes, facts->memory_free.bytes);
  EXPECT_GT(facts->memory_free.bytes, 0u);
  EXPECT_GT(facts->cpus, 0u);
  const auto& machines = facts->machine_types;
  EXPECT_NE(std::find(machines.begin(), machines.end(), "q35"), machines.end());
}

TEST_P(HypervisorConformance, FindsNothingThatIsNotThere) {
  EXPECT_EQ(hypervisor().find_vm(kAbsent).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hypervisor().find_vm("no such VM").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hypervisor().definition(kAbsent, DefinitionKind::kLive).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(hypervisor().resume(kAbsent).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hypervisor().run_state(kAbsent)->kind, RunState::Kind::kAbsent);
}

TEST_P(HypervisorConformance, TakesAbsenceForSuccessWhereItUndoes) {
  EXPECT_TRUE(hypervisor().undefine(kAbsent));
  EXPECT_TRUE(hypervisor().destroy(kAbsent));
  EXPECT_TRUE(hypervisor().drop_descriptors(kAbsent));
  EXPECT_TRUE(hypervisor().refresh_pool("/no/such/folder"));
}

TEST_P(HypervisorConformance, DefinesAndFindsAVmByEitherName) {
  Events events(hypervisor());
  const std::string uuid = define_vm("conformance näme 1");
  EXPECT_TRUE(events.came(VmEvent::Kind::kDefined, uuid));
  for (const std::string& word : {uuid, std::string("conformance näme 1")}) {
    const auto found = hypervisor().find_vm(word);
    ASSERT_TRUE(found) << found.error().text();
    EXPECT_EQ(found->uuid, uuid);
    EXPECT_EQ(found->name, "conformance näme 1");
    EXPECT_EQ(found->memory, mib(64));
    EXPECT_EQ(found->machine, "pc-q35-7.2");
    EXPECT_EQ(found->state, VmState::kOff);
    EXPECT_TRUE(found->persistent);
    EXPECT_FALSE(found->autostart);
  }
  const auto all = hypervisor().list_vms();
  ASSERT_TRUE(all);
  EXPECT_EQ(std::count_if(all->begin(), all->end(), [&](const Vm& vm) { return vm.uuid == uuid; }),
            1);
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kOff);
  const auto definition = hypervisor().definition(uuid, DefinitionKind::kPersistent);
  ASSERT_TRUE(definition);
  EXPECT_NE(definition->find(uuid), std::string::npos);

  EXPECT_TRUE(hypervisor().undefine(uuid));
  EXPECT_TRUE(events.came(VmEvent::Kind::kUndefined, uuid));
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kAbsent);
  const auto rest = hypervisor().list_vms();
  ASSERT_TRUE(rest);
  EXPECT_EQ(
      std::count_if(rest->begin(), rest->end(), [&](const Vm& vm) { return vm.uuid == uuid; }), 0);
}

TEST_P(HypervisorConformance, RefusesATakenNameOrUuid) {
  define_vm("conformance 2");
  const std::string other = "<domain type='qemu'><name>conformance 2</name><uuid>" + make_uuid() +
                            "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
                            "machine='pc-q35-7.2'>hvm</type></os></domain>";
  EXPECT_FALSE(hypervisor().define(other));
  EXPECT_FALSE(hypervisor().define("<domain>"));
}

TEST_P(HypervisorConformance, ShowsAutostartAtOnce) {
  const std::string uuid = define_vm("conformance 3");
  ASSERT_TRUE(hypervisor().list_vms());
  for (const bool on : {true, false}) {
    ASSERT_TRUE(hypervisor().set_autostart(uuid, on));
    EXPECT_EQ(hypervisor().find_vm(uuid)->autostart, on);
    const auto all = hypervisor().list_vms();
    ASSERT_TRUE(all);
    for (const auto& vm : *all) EXPECT_TRUE(vm.uuid != uuid || vm.autostart == on);
  }
}

TEST_P(HypervisorConformance, FollowsAVmThroughItsStates) {
  Events events(hypervisor());
  const std::string uuid = define_vm("conformance 4");
  subject_->start(uuid);
  EXPECT_TRUE(events.came(VmEvent::Kind::kStarted, uuid));
  EXPECT_EQ(state_of(uuid), VmState::kRunning);
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kRunning);
  EXPECT_EQ(hypervisor().resume(uuid).error().code, ErrorCode::kConflict);

  subject_->suspend(uuid);
  EXPECT_TRUE(events.came(VmEvent::Kind::kSuspended, uuid));
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kPaused);
  const auto resumed = hypervisor().resume(uuid);
  EXPECT_TRUE(resumed) << resumed.error().text();
  EXPECT_TRUE(events.came(VmEvent::Kind::kResumed, uuid));
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kRunning);

  EXPECT_TRUE(hypervisor().destroy(uuid));
  EXPECT_TRUE(events.came(VmEvent::Kind::kStopped, uuid));
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kOff);
  EXPECT_TRUE(hypervisor().destroy(uuid));
}

TEST_P(HypervisorConformance, UndefinesARunningVmWithoutStoppingIt) {
  const std::string uuid = define_vm("conformance 5");
  subject_->start(uuid);
  EXPECT_TRUE(hypervisor().undefine(uuid));
  const auto found = hypervisor().find_vm(uuid);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->persistent);
  EXPECT_EQ(found->state, VmState::kRunning);
  EXPECT_EQ(hypervisor().definition(uuid, DefinitionKind::kPersistent).error().code,
            ErrorCode::kNotFound);
  EXPECT_TRUE(hypervisor().undefine(uuid));
  EXPECT_TRUE(hypervisor().destroy(uuid));
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kAbsent);
}

TEST_P(HypervisorConformance, KnowsNoJobWhereThereIsNone) {
  const std::string uuid = define_vm("conformance 6");
  const auto off = hypervisor().job_progress(uuid);
  EXPECT_TRUE(off && !off->active);
  subject_->start(uuid);
  const auto running = hypervisor().job_progress(uuid);
  ASSERT_TRUE(running) << running.error().text();
  EXPECT_FALSE(running->active);
  EXPECT_FALSE(hypervisor().abort_job(uuid));
  EXPECT_FALSE(hypervisor().completed_job(uuid));
}

TEST_P(HypervisorConformance, HoldsDescriptorsAndDropsThem) {
  const std::string uuid = define_vm("conformance 7");
  const UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd second(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const std::array<int, 2> descriptors{first.get(), second.get()};
  EXPECT_FALSE(hypervisor().hold_descriptors(uuid, descriptors));  // it is off
  EXPECT_FALSE(hypervisor().ask_qemu(uuid, R"({"execute":"query-name"})"));
  subject_->start(uuid);
  const auto held = hypervisor().hold_descriptors(uuid, descriptors);
  EXPECT_TRUE(held) << held.error().text();
  const auto answer = hypervisor().ask_qemu(uuid, R"({"execute":"query-name"})");
  EXPECT_TRUE(answer && answer->find("return") != std::string::npos);
  EXPECT_TRUE(hypervisor().drop_descriptors(uuid));
  EXPECT_TRUE(hypervisor().drop_descriptors(uuid));
  EXPECT_TRUE(hypervisor().hold_descriptors(uuid, descriptors));
}

TEST_P(HypervisorConformance, HoldsAnImageOfOurs) {
  const std::string uuid = define_vm("conformance 10");
  const auto image = make_fence_image();
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_FALSE(hypervisor().hold_image(uuid, image->for_qemu.get()));  // it is off
  subject_->start(uuid);
  for (int round = 0; round < 2; ++round) {
    const auto held = hypervisor().hold_image(uuid, image->for_qemu.get());
    EXPECT_TRUE(held) << held.error().text();
  }
  EXPECT_TRUE(hypervisor().drop_descriptors(uuid));
  EXPECT_TRUE(hypervisor().drop_descriptors(uuid));
}

TEST_P(HypervisorConformance, LeavesTheVmRunningWhenNoDestinationAnswers) {
  const std::string uuid = define_vm("conformance 8");
  subject_->start(uuid);
  const auto live = hypervisor().definition(uuid, DefinitionKind::kLive);
  ASSERT_TRUE(live);
  const MigrateCall call{.uuid = uuid,
                         .connection_uri = "qemu+unix:///system?socket=/run/no-such-socket",
                         .memory_uri = "unix:///run/no-such-socket-either",
                         .disks_uri = "",
                         .destination_xml = *live,
                         .persistent_xml = *live,
                         .copied_disks = {}};
  const auto moved = hypervisor().migrate(call);
  EXPECT_FALSE(moved);
  EXPECT_EQ(hypervisor().run_state(uuid)->kind, RunState::Kind::kRunning);
}

TEST_P(HypervisorConformance, ShowsSignsOfLifeOfWhatRuns) {
  const std::string uuid = define_vm("conformance 11");
  EXPECT_FALSE(hypervisor().guest_signs(uuid)->runs);
  EXPECT_FALSE(hypervisor().replug(uuid));  // it is off
  EXPECT_FALSE(hypervisor().guest_signs("00000000-0000-0000-0000-000000000000"));
  subject_->start(uuid);
  const auto signs = hypervisor().guest_signs(uuid);
  ASSERT_TRUE(signs) << signs.error().text();
  EXPECT_TRUE(signs->runs && !signs->state.empty());
  EXPECT_TRUE(signs->interfaces.empty() && !signs->has_agent);
  EXPECT_FALSE(
      hypervisor().ask_agent(uuid, R"({"execute":"guest-ping"})", std::chrono::seconds(1)));
  const auto plugged = hypervisor().replug(uuid);
  EXPECT_TRUE(plugged && plugged->empty());
}

TEST_P(HypervisorConformance, ForgetsCheckpointsAndKnowsThemAgain) {
  const std::string uuid = define_vm("conformance 12");
  EXPECT_TRUE(hypervisor().checkpoints(uuid)->empty());
  EXPECT_TRUE(hypervisor().forget_checkpoints(uuid));
  const std::string definition = *hypervisor().definition(uuid, DefinitionKind::kPersistent);
  const auto text = [&](const std::string& name, const std::string& parent, bool current) {
    std::string above = parent.empty() ? "" : "<parent><name>" + parent + "</name></parent>";
    return CheckpointText{name,
                          "<domainsnapshot><name>" + name + "</name><state>shutoff</state>" +
                              above + "<creationTime>1700000000</creationTime>" + definition +
                              "</domainsnapshot>",
                          current};
  };
  const std::vector<CheckpointText> texts{text("clean", "", false), text("later", "clean", true)};
  for (int round = 0; round < 2; ++round) {
    const auto known = hypervisor().know_checkpoints(uuid, texts);
    ASSERT_TRUE(known) << known.error().text();
    const auto found = hypervisor().checkpoints(uuid);
    ASSERT_TRUE(found && found->size() == 2);
    EXPECT_TRUE((*found)[0].name == "clean" && !(*found)[0].current);
    EXPECT_TRUE((*found)[1].name == "later" && (*found)[1].current);
    const auto vm = hypervisor().find_vm(uuid);
    ASSERT_TRUE(vm && vm->snapshots == 2 && vm->checkpoints.size() == 2);
    EXPECT_EQ(vm->checkpoints[1].parent, "clean");
  }
  // What was read can be said again.
  const auto read = hypervisor().checkpoints(uuid);
  ASSERT_TRUE(hypervisor().forget_checkpoints(uuid));
  EXPECT_EQ(hypervisor().find_vm(uuid)->snapshots, 0u);
  const auto again = hypervisor().know_checkpoints(uuid, *read);
  EXPECT_TRUE(again) << again.error().text();
  EXPECT_TRUE(hypervisor().forget_checkpoints(uuid));
  EXPECT_FALSE(hypervisor().checkpoints(kAbsent));
}

TEST_P(HypervisorConformance, TakesAMissingCpuForCompatible) {
  const std::string uuid = define_vm("conformance 9");
  const auto xml = hypervisor().definition(uuid, DefinitionKind::kPersistent);
  ASSERT_TRUE(xml);
  std::vector<std::string> missing;
  const auto compared = hypervisor().compare_cpu(
      "<domain type='qemu'><name>x</name><os><type arch='x86_64' "
      "machine='pc-q35-7.2'>hvm</type></os></domain>",
      &missing);
  ASSERT_TRUE(compared) << compared.error().text();
  EXPECT_NE(*compared, CpuComparison::kIncompatible);
  EXPECT_FALSE(hypervisor().compare_cpu("not XML", &missing));
}

}  // namespace drover
