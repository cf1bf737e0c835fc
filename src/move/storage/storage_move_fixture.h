// SPDX-License-Identifier: Apache-2.0
// One host with one VM of two disks, on the fake hypervisor, with images that are files: for tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "hypervisor/disk_image.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/fake/fake.h"
#include "move/storage/storage_move.h"
#include "move/world_fixture.h"

namespace drover::move {

inline constexpr const char* kStorageUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
enum class VmIs { kRunning, kOff, kSaved };

// One host with one VM of two disks, which shall move from old/ to new/.
class StorageScene : private WorldFixture {
 public:
  explicit StorageScene(VmIs state) {
    for (const char* name : {"old", "new"}) EXPECT_TRUE(make_folder(folder_ / name, 0700));
    open_world(hypervisor, peers_);
    allow_only(folder_);
    for (const char* target : {"vda", "vdb"}) add_disk(target);
    EXPECT_TRUE(hypervisor.define(definition()));
    if (state != VmIs::kOff) {
      EXPECT_TRUE(hypervisor.start(kStorageUuid));
    }
    if (state == VmIs::kSaved) {
      hypervisor.saved_folder = folder_.string();
      EXPECT_TRUE(hypervisor.save(kStorageUuid, memory_file(), Hypervisor::Then::kRuns));
    }
    job.move.id = job.move.epoch = "k3f9x2qa";
    job.move.source = job.move.destination = "host1";
    Plan& plan = job.move.plan;
    plan.kind = MoveKind::kStorage;
    plan.vm = *hypervisor.find_vm(kStorageUuid);
    plan.request.kind = MoveKind::kStorage;
    plan.request.vm = kStorageUuid;
    plan.request.retries = 0;  // each test sees the end of its attempt
    plan.request.disks_to = (folder_ / "new").string();
    plan.made_at = std::chrono::system_clock::now();
  }
  ~StorageScene() { close_world(); }

  // Of a VM whose memory is kept.
  std::string memory_file() const { return hypervisor.saved_memory_file("web01"); }
  // What its guest goes on with.
  std::string path_in_memory(const std::string& target) {
    const auto facts = parse_domain(*hypervisor.saved_definition(memory_file()));
    for (const auto& disk : facts->disks) {
      if (disk.disk.target == target) return disk.disk.path;
    }
    return {};
  }
  std::string old_path(const std::string& target) { return (folder_ / "old" / target).string(); }
  std::string new_path(const std::string& target) { return (folder_ / "new" / target).string(); }
  bool is_kept(const std::string& target) {
    return std::filesystem::exists(quarantine_path(old_path(target), "k3f9x2qa")) &&
           !std::filesystem::exists(old_path(target));
  }
  std::size_t new_files() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_ / "new"),
                      std::filesystem::directory_iterator()));
  }
  // What both definitions have, which must be the same.
  std::string path_of(const std::string& target) {
    std::string live;
    for (const auto kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
      const auto facts = parse_domain(*hypervisor.definition(kStorageUuid, kind));
      for (const auto& disk : facts->disks) {
        if (disk.disk.target != target) continue;
        if (kind == DefinitionKind::kLive) live = disk.disk.path;
        EXPECT_EQ(disk.disk.path, live) << "the persistent definition says something else";
      }
    }
    return live;
  }

  Move run(void (MoveWork::*how)(std::stop_token) = &MoveWork::run, MoveListener listener = {},
           std::stop_token stop = {}) {
    if (!listener) listener = [](MoveChange, const Move&) {};
    const auto work = make_move_work(*world_, job, std::move(listener));
    ((*work).*how)(std::move(stop));
    return work->snapshot();
  }
  // As a droverd that comes after one that was killed.
  Move resume() {
    if (const auto text = journal_->job(journal::Side::kSource, job.move.id))
      job = *source_job_from_json(*text);
    return job.move.state == MoveState::kRunning ? run(&MoveWork::resume) : job.move;
  }
  std::size_t open_jobs() { return journal_->open_jobs(journal::Side::kSource)->size(); }
  std::size_t places_used() { return slots_.used(Slots::Way::kStorage); }
  std::size_t quarantined() { return journal_->quarantine()->size(); }
  World& world() { return *world_; }

  // vda becomes a qcow2 image that is built on old/base.img, by a relative name; of a VM that is
  // off. What its guest sees of the base begins with "base".
  void build_on_base() {
    const std::vector<std::string> allowed{folder_.string()};
    DiskPlacement base{"", "", old_path("base.img"), "raw", mib(8), {}, {}, false};
    EXPECT_TRUE(create_image(base, allowed));
    std::ofstream(base.destination_path, std::ios::in | std::ios::binary) << "base";
    std::filesystem::remove(old_path("vda"));
    DiskPlacement& placement = job.move.plan.placements[0];
    placement.format = "qcow2";
    DiskPlacement top = placement;
    top.destination_path = old_path("vda");
    const FilePlacement below{"vda", "", "base.img", "raw", mib(8), {}, {}, false, false};
    EXPECT_TRUE(create_image(top, allowed, &below));
    std::string xml = *hypervisor.definition(kStorageUuid, DefinitionKind::kPersistent);
    xml.replace(xml.find("type='raw'"), 10, "type='qcow2'");
    EXPECT_TRUE(hypervisor.define(xml));
    job.move.plan.vm = *hypervisor.find_vm(kStorageUuid);
    job.move.plan.vm.disks[0].backing_chain = {old_path("base.img")};
    job.move.plan.files = {{"vda",
                            old_path("base.img"),
                            new_path("base.img"),
                            "raw",
                            mib(8),
                            kib(64),
                            {},
                            false,
                            false}};
  }

  fake::FakeHypervisor hypervisor{{}};
  SourceJob job;

 private:
  void add_disk(const std::string& target) {
    DiskPlacement placement{target, old_path(target), old_path(target), "raw",
                            mib(8), kib(64),          ByteCount{},      false};
    const std::vector<std::string> allowed{folder_.string()};
    EXPECT_TRUE(create_image(placement, allowed));
    std::ofstream(old_path(target), std::ios::in | std::ios::binary) << "content of " << target;
    placement.destination_path = new_path(target);
    job.move.plan.placements.push_back(placement);
  }
  std::string definition() {
    std::string disks;
    for (const char* target : {"vda", "vdb"}) {
      disks += fmt::format(
          "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>"
          "<target dev='{}'/></disk>",
          old_path(target), target);
    }
    return fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><memory unit='MiB'>512</memory>"
        "<devices>{}</devices></domain>",
        kStorageUuid, disks);
  }

  NoPeers peers_;
};

}  // namespace drover::move
