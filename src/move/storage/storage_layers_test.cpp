// SPDX-License-Identifier: Apache-2.0
// Storage moves of disks that are built on others, and what libvirt knows of checkpoints then.
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/unique_fd.h"
#include "hypervisor/backing_chain.h"
#include "move/storage/storage_files.h"
#include "move/storage/storage_move_fixture.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

TEST(StorageLayers, GoAlongAndTheNameOfTheBaseStaysRelative) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  const Move move = scene.run();
  ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_EQ(scene.path_of("vda"), scene.new_path("vda"));
  EXPECT_EQ(*backing_name_of(scene.new_path("vda")), "base.img");
  EXPECT_EQ(read_file(scene.new_path("base.img"), 16u << 20)->substr(0, 4), "base");
  EXPECT_TRUE(scene.is_kept("vda") && scene.is_kept("base.img") && scene.is_kept("vdb"));
  EXPECT_EQ(scene.new_files(), 3u);
  EXPECT_EQ(scene.quarantined(), 3u);
}

// Of a running VM the copy of its image is made on the base's copy.
TEST(StorageLayers, AreCopiedBeforeTheMirrorOfARunningVm) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  fs::path base_there = scene.new_path("base.img");
  ASSERT_TRUE(scene.hypervisor.start(kStorageUuid));
  const auto chain = scene.job.move.plan.vm.disks[0].backing_chain;
  scene.job.move.plan.vm = *scene.hypervisor.find_vm(kStorageUuid);
  scene.job.move.plan.vm.disks[0].backing_chain = chain;
  bool seen = false;
  scene.hypervisor.at_copy = [&](fake::CopyStep step, const std::string& target) -> Status {
    if (step != fake::CopyStep::kBegin || target != "vda") return {};
    EXPECT_EQ(read_file(base_there.string(), 16u << 20)->substr(0, 4), "base");
    EXPECT_EQ(backing_chain_of(scene.new_path("vda"), "qcow2"),
              std::vector<std::string>{base_there.string()});
    seen = true;
    return {};
  };
  const Move move = scene.run();
  ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_TRUE(seen);
  EXPECT_TRUE(scene.is_kept("vda") && scene.is_kept("base.img"));
}

// A snapshot that somebody makes while the layers are copied: the mirror would lack a layer.
TEST(StorageLayers, AChainThatChangedMeanwhileEndsTheMove) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  ASSERT_TRUE(scene.hypervisor.start(kStorageUuid));
  const auto chain = scene.job.move.plan.vm.disks[0].backing_chain;
  scene.job.move.plan.vm = *scene.hypervisor.find_vm(kStorageUuid);
  scene.job.move.plan.vm.disks[0].backing_chain = chain;
  scene.hypervisor.at_copy = [&](fake::CopyStep step, const std::string& target) -> Status {
    if (step != fake::CopyStep::kBegin || target != "vda") return {};
    const std::string top = scene.old_path("vda");
    return set_backing_name(top, *file_identity(top), "another.img", "raw");
  };
  const Move move = scene.run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(move.error->code, ErrorCode::kConflict) << move.error->text();
  EXPECT_EQ(scene.new_files(), 0u);
  EXPECT_EQ(scene.path_of("vda"), scene.old_path("vda"));
}

TEST(StorageLayers, LeaveNothingWhenTheMoveFails) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  std::ofstream(scene.new_path("vdb")) << "another VM's";
  const Move move = scene.run();
  EXPECT_EQ(move.state, MoveState::kFailed);
  EXPECT_EQ(scene.new_files(), 1u);
  EXPECT_TRUE(fs::exists(scene.old_path("base.img")) && scene.quarantined() == 0);
}

TEST(StorageLayers, ThatAnotherDiskIsBuiltOnStay) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  // vdb stays, and stands on the same base.
  scene.job.move.plan.placements.pop_back();
  fs::remove(scene.old_path("vdb"));
  fs::copy_file(scene.old_path("vda"), scene.old_path("vdb"));
  std::string xml = *scene.hypervisor.definition(kStorageUuid, DefinitionKind::kPersistent);
  xml.replace(xml.find("type='raw'"), 10, "type='qcow2'");
  ASSERT_TRUE(scene.hypervisor.define(xml));
  const Move move = scene.run();
  ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_TRUE(scene.is_kept("vda"));
  EXPECT_TRUE(fs::exists(scene.old_path("base.img"))) << "vdb is built on it";
  EXPECT_TRUE(fs::exists(scene.new_path("base.img")));
}

TEST(StorageLayers, AnImageBecomesAnotherFormat) {
  for (const VmIs state : {VmIs::kOff, VmIs::kRunning}) {
    StorageScene scene(state);
    scene.job.move.plan.request.format = "qcow2";
    for (DiskPlacement& placement : scene.job.move.plan.placements) placement.format = "qcow2";
    const Move move = scene.run();
    ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
    const auto facts = image_facts(scene.new_path("vdb"), "qcow2");
    ASSERT_TRUE(facts) << facts.error().text();
    EXPECT_EQ(facts->virtual_size, mib(8));
    for (const auto kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
      const auto defined = parse_domain(*scene.hypervisor.definition(kStorageUuid, kind));
      EXPECT_EQ(defined->disks[1].disk.format, "qcow2");
    }
  }
}

std::uint64_t room_taken(const std::string& path) {
  struct stat found{};
  EXPECT_EQ(::stat(path.c_str(), &found), 0);
  return static_cast<std::uint64_t>(found.st_blocks) * 512;
}

// QEMU makes holes of what is zero where the disk's definition lets it.
TEST(StorageLayers, AFullImageHasRoomForAllOfItsDisk) {
  for (const VmIs state : {VmIs::kOff, VmIs::kRunning}) {
    StorageScene scene(state);
    for (DiskPlacement& placement : scene.job.move.plan.placements)
      placement.allocation = Allocation::kFull;
    const std::string image = scene.new_path("vdb");
    scene.hypervisor.at_copy = [&](fake::CopyStep step, const std::string& target) -> Status {
      if (step != fake::CopyStep::kBegin || target != "vdb") return {};
      const UniqueFd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
      constexpr int kHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      EXPECT_EQ(::fallocate(file.get(), kHole, 0, 1 << 20), 0);
      return {};
    };
    const Move move = scene.run();
    ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
    EXPECT_GE(room_taken(scene.new_path("vda")), mib(8).bytes);
    EXPECT_GE(room_taken(image), mib(8).bytes);
  }
}

TEST(StorageLayers, ZeroesThatWereWrittenTakeNoRoomInAThinImage) {
  for (const bool thin : {false, true}) {
    StorageScene scene(VmIs::kOff);
    std::ofstream(scene.old_path("vda"), std::ios::in | std::ios::binary)
        << std::string(4u << 20, '\0');
    if (thin) scene.job.move.plan.placements[0].allocation = Allocation::kThin;
    const Move move = scene.run();
    ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
    if (thin) {
      EXPECT_LT(room_taken(scene.new_path("vda")), mib(1).bytes);
    } else {
      EXPECT_GE(room_taken(scene.new_path("vda")), mib(4).bytes);
    }
  }
}

// The journal has what libvirt knew before it is said anew.
TEST(StorageLayers, CheckpointsNameTheNewPlaces) {
  StorageScene scene(VmIs::kOff);
  scene.build_on_base();
  const std::string text =
      "<domainsnapshot><name>clean</name><domain><devices><disk><source file=\"" +
      scene.old_path("base.img") + "\"/></disk><disk><source file=\"" + scene.old_path("vdb") +
      "\"/></disk></devices></domain></domainsnapshot>";
  const std::vector<CheckpointText> known{{"clean", text, true}};
  ASSERT_TRUE(scene.hypervisor.know_checkpoints(kStorageUuid, known));
  scene.job.move.plan.vm.snapshots = 1;
  int refusals = 2;
  scene.hypervisor.at_checkpoints = [&](bool) -> Status {
    if (refusals-- > 0) return fail(ErrorCode::kHypervisor, "not now");
    return {};
  };
  const Move move = scene.run();
  ASSERT_EQ(move.state, MoveState::kDone) << (move.error ? move.error->text() : "");
  EXPECT_TRUE(move.explanation.empty()) << move.explanation;
  const auto now = scene.hypervisor.checkpoints(kStorageUuid);
  ASSERT_EQ(now->size(), 1u);
  for (const char* name : {"base.img", "vdb"}) {
    EXPECT_NE(now->front().xml.find(scene.new_path(name)), std::string::npos) << now->front().xml;
    EXPECT_EQ(now->front().xml.find(scene.old_path(name)), std::string::npos);
  }
}

class StorageLayersCrash : public testing::TestWithParam<VmIs> {};

TEST_P(StorageLayersCrash, ALayerIsWholeOrGoneWhereverDroverdDied) {
  for (int at = 0; at < 60; ++at) {
    SCOPED_TRACE(at);
    StorageScene scene(VmIs::kOff);
    scene.build_on_base();
    const auto chain = scene.job.move.plan.vm.disks[0].backing_chain;
    if (GetParam() == VmIs::kRunning) {
      ASSERT_TRUE(scene.hypervisor.start(kStorageUuid));
      scene.job.move.plan.vm = *scene.hypervisor.find_vm(kStorageUuid);
      scene.job.move.plan.vm.disks[0].backing_chain = chain;
    }
    int changes = 0;
    std::stop_source stop;
    const auto listener = [&](MoveChange change, const Move&) {
      if (change != MoveChange::kProgress && changes++ == at) stop.request_stop();
    };
    const Move first = scene.run(&MoveWork::run, listener, stop.get_token());
    const bool ended = first.state != MoveState::kRunning;
    const Move last = ended ? first : scene.resume();
    const std::string base = scene.new_path("base.img");
    if (last.state == MoveState::kFailed) {
      EXPECT_EQ(scene.new_files(), 0u);
      EXPECT_TRUE(fs::exists(scene.old_path("base.img")) && fs::exists(scene.old_path("vda")));
    } else {
      ASSERT_EQ(last.state, MoveState::kDone) << (last.error ? last.error->text() : "");
      EXPECT_EQ(read_file(base, 16u << 20)->substr(0, 4), "base");
      EXPECT_EQ(scene.path_of("vda"), scene.new_path("vda"));
    }
    if (ended && changes <= at) return;
  }
  FAIL() << "it changes for ever";
}

INSTANTIATE_TEST_SUITE_P(Vm, StorageLayersCrash, testing::Values(VmIs::kRunning, VmIs::kOff),
                         [](const auto& tested) {
                           return tested.param == VmIs::kRunning ? "Running" : "Off";
                         });

}  // namespace
}  // namespace drover::move
