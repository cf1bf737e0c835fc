// SPDX-License-Identifier: Apache-2.0
#include "move/cold/cold_layers.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/program.h"
#include "move/cold/cold_files.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
constexpr const char* kWithTpm =
    "<domain><devices><tpm><backend type='emulator' version='2.0'/></tpm></devices></domain>";

// vda stands on middle.qcow2, which stands on base.img; at the destination the first is elsewhere.
class ColdLayers : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "here");
    fs::create_directories(folder_ / "there");
    plan_.kind = MoveKind::kOffline;
    plan_.placements = {{"vda", here("top"), there("top"), "qcow2", mib(8), mib(1), kib(64)}};
    plan_.files = {{"vda", here("middle"), there("middle"), "qcow2", mib(8), mib(1), kib(64)},
                   {"vda", here("base"), here("base"), "raw", mib(8), mib(1), {}}};
    make(here("top"), here("middle"), "qcow2");
    make(here("middle"), here("base"), "raw");
    std::ofstream(here("base")) << std::string(1 << 16, 'b');
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string here(const char* name) const { return (folder_ / "here" / name).string(); }
  std::string there(const char* name) const { return (folder_ / "there" / name).string(); }
  static void make(const std::string& path, const std::string& below, const std::string& format,
                   std::vector<std::string> more = {}) {
    fs::remove(path);
    std::vector<std::string> words{"qemu-img", "create", "-q", "-f", "qcow2"};
    words.insert(words.end(), more.begin(), more.end());
    if (!below.empty()) words.insert(words.end(), {"-u", "-F", format, "-b", below});
    words.insert(words.end(), {path, "8M"});
    ASSERT_TRUE(run_program({.arguments = words})) << path;
  }
  void bring() {
    for (const char* name : {"top", "middle"})
      fs::copy_file(here(name), there(name), fs::copy_options::overwrite_existing);
  }
  void expect_refused() {
    EXPECT_EQ(check_layer_names(plan_, AtSide::kSource).error().code, ErrorCode::kPolicy);
    bring();
    EXPECT_EQ(check_layer_names(plan_, AtSide::kDestination).error().code, ErrorCode::kPolicy);
  }

  const fs::path folder_ = fs::temp_directory_path() / ("drover-layers-" + random_name(8));
  Plan plan_;
};

TEST_F(ColdLayers, TheImageIsToldWhereItsLayerLies) {
  ASSERT_TRUE(check_layer_names(plan_, AtSide::kSource));
  bring();
  const auto checked = check_layer_names(plan_, AtSide::kDestination);
  ASSERT_TRUE(checked) << checked.error().text();
  for (int twice = 0; twice < 2; ++twice) {
    const auto named = name_layers_here(plan_);
    ASSERT_TRUE(named) << named.error().text();
    EXPECT_EQ(backing_chain_of(there("top"), "qcow2"),
              (std::vector<std::string>{there("middle"), here("base")}));
  }
  EXPECT_TRUE(check_layer_names(plan_, AtSide::kDestination));
}

TEST_F(ColdLayers, ARelativeNameIsMeantFromWhereTheImageLies) {
  make(here("top"), "middle", "qcow2");
  bring();
  ASSERT_TRUE(check_layer_names(plan_, AtSide::kDestination));
  ASSERT_TRUE(name_layers_here(plan_));
  EXPECT_EQ(backing_chain_of(there("top"), "qcow2").front(), there("middle"));
  make(here("middle"), "base", "raw");  // which does not lie beside it there
  expect_refused();
}

TEST_F(ColdLayers, NoImageNamesAnotherFile) {
  for (const char* name : {"/etc/shadow", "nbd://host/x", "file:/etc/shadow",
                           R"(json:{"driver":"raw","file":{"driver":"file","filename":"/x"}})"}) {
    make(here("top"), name, "qcow2");
    expect_refused();
  }
  make(here("top"), "", "");  // it would be another disk
  expect_refused();
  make(here("top"), here("middle"), "raw");
  expect_refused();
  make(here("top"), "", "", {"-o", "data_file=" + here("data")});
  expect_refused();
}

TEST_F(ColdLayers, NoLayerThatComesNamesAnotherFile) {
  make(here("middle"), "/etc/shadow", "raw");
  expect_refused();
  plan_.files.pop_back();  // the plan knows of none
  make(here("middle"), here("base"), "raw");
  expect_refused();
  plan_.files[0].present = true;
  EXPECT_TRUE(check_layer_names(plan_, AtSide::kSource)) << "it stays where it is";
}

TEST_F(ColdLayers, ThePlanSaysWhatTheMoveWouldRefuse) {
  EXPECT_FALSE(misnamed_layer(plan_));
  // As images were made before QEMU insisted on a format.
  make(here("base"), "", "");  // it is opened when the name is written again
  std::string head = *read_file(here("middle"));
  const auto at = head.find("\xe2\x79\x2a\xca");  // the extension that names it
  ASSERT_NE(at, std::string::npos);
  head.replace(at, 4, "none");
  std::ofstream(here("middle"), std::ios::binary) << head;
  const auto blocker = misnamed_layer(plan_);
  ASSERT_TRUE(blocker);
  EXPECT_EQ(blocker->code, "DISK_BACKING_CHAIN");
  EXPECT_EQ(blocker->level, FindingLevel::kBlocker);
  EXPECT_EQ(blocker->object, "vda");
  ASSERT_EQ(blocker->fixes.size(), 2u);
  const std::string& fix = blocker->fixes[0];
  const std::string command = fix.substr(fix.find("qemu-img"));
  ASSERT_TRUE(run_program({.arguments = {"sh", "-c", command}})) << command;
  EXPECT_FALSE(misnamed_layer(plan_)) << command;

  plan_.files.clear();
  plan_.request.flatten = true;
  plan_.vm.checkpoints = {{"warm", "", {}, true, {"vda"}, {}, ""}};
  const auto flattened = misnamed_layer(plan_);
  ASSERT_TRUE(flattened);
  EXPECT_TRUE(flattened->fixes[0].starts_with("Leave --flatten out")) << flattened->fixes[0];
}

TEST_F(ColdLayers, AnImageWithCheckpointsStandsForItself) {
  plan_.files.clear();
  plan_.vm.checkpoints = {{"warm", "", {}, true, {"vda"}, {}, ""}};
  expect_refused();
  make(here("top"), "", "");
  EXPECT_TRUE(check_layer_names(plan_, AtSide::kSource));
  std::ofstream(here("top")) << "no image";
  EXPECT_EQ(check_layer_names(plan_, AtSide::kSource).error().code, ErrorCode::kPolicy);
}

TEST_F(ColdLayers, WhatTravelsAsItIsFollowsFromThePlan) {
  plan_.files.push_back(plan_.files[1]);
  plan_.files[2].item = "vdb";  // stands on the same base
  auto files = cold_files(plan_, "<domain/>");
  ASSERT_EQ(files.size(), 3u);
  EXPECT_TRUE(files[0].kind == ColdFile::Kind::kLayer && files[0].source_path == here("middle"));
  EXPECT_TRUE(files[1].destination_path == here("base")) << "once";
  EXPECT_TRUE(files[2].kind == ColdFile::Kind::kImage && files[2].target == "vda");
  EXPECT_TRUE(streamed_disks(plan_).empty());

  plan_.files[0].present = plan_.files[1].shared = plan_.files[2].shared = true;
  EXPECT_EQ(cold_files(plan_, "<domain/>").size(), 1u) << "layers that are there stay";
  plan_.placements[0].shared = true;
  EXPECT_TRUE(cold_files(plan_, "<domain/>").empty());
  plan_.placements[0].shared = false;
  plan_.files.clear();
  EXPECT_EQ(streamed_disks(plan_).size(), 1u) << "a disk that stands for itself";
  plan_.kind = MoveKind::kQuick;
  plan_.vm.checkpoints = {{"warm", "", {}, true, {"vda"}, {}, ""}};
  files = cold_files(plan_, "<domain/>");
  ASSERT_EQ(files.size(), 3u);
  EXPECT_TRUE(files[0].kind == ColdFile::Kind::kStateHead &&
              files[2].kind == ColdFile::Kind::kImage)
      << "nobody writes it by then";
  EXPECT_EQ(cold_files(plan_, kWithTpm).size(), 3u) << "its state is in the saved guest";
  plan_.kind = MoveKind::kOffline;
  plan_.vm.uuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
  files = cold_files(plan_, kWithTpm);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].destination_path,
            "/var/lib/libvirt/swtpm/" + plan_.vm.uuid + "/tpm2/tpm2-00.permall");
  EXPECT_EQ(files[1].source_path, "") << "it was never started";
  plan_.kind = MoveKind::kLive;
  EXPECT_FALSE(travels_as_image(plan_, plan_.placements[0]));
}

TEST_F(ColdLayers, TheStateOfATpmIsLeftBehindWhereTheDefinitionKeepsIt) {
  const std::string uuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
  EXPECT_EQ(former_tpm_state(kWithTpm, uuid, folder_.string()), "") << "it was never started";
  const std::string place = tpm_state_place(folder_.string(), uuid, "tpm2-00.permall");
  ASSERT_TRUE(make_tpm_folders(place));
  std::ofstream(place) << "state";
  EXPECT_EQ(former_tpm_state(kWithTpm, uuid, folder_.string()), place);
  EXPECT_EQ(former_tpm_state("<domain/>", uuid, folder_.string()), "") << "not this VM's";
}

}  // namespace
}  // namespace drover::move
