// SPDX-License-Identifier: Apache-2.0
// What the disks of a live move stand on, and this host does not have: it comes before anything is
// prepared.
#include <filesystem>
#include <fstream>
#include <map>

#include <fcntl.h>

#include "content/file_digest.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/program.h"
#include "move/destination/destination_cold_fixture.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;

// vda stands on middle, which stands on base; host2 has neither.
class Layers : public ColdDestination {
 protected:
  void SetUp() override {
    ColdDestination::SetUp();
    fs::create_directories(folder_ / "source");
    fs::create_directories(folder_ / "images");
    allow_only(folder_ / "images");
    std::ofstream(here("base")) << std::string(100'000, 'b');
    make_middle(there("base"));
  }

  std::string here(const char* name) const { return (folder_ / "source" / name).string(); }
  std::string there(const char* name) const { return (folder_ / "images" / name).string(); }
  void make_middle(const std::string& below) {
    fs::remove(here("middle"));
    ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F",
                                           "raw", "-b", below, here("middle"), "8M"}}));
  }
  ReserveRequest request() const {
    ReserveRequest request = reservation();
    request.plan.placements = {
        {"vda", here("top"), there("top"), "qcow2", mib(8), mib(1), kib(64), false}};
    request.plan.files = {
        {"vda", here("middle"), there("middle"), "qcow2", mib(8), mib(1), kib(64)},
        {"vda", here("base"), there("base"), "raw", mib(8), mib(1), {}}};
    return request;
  }
  void bring() {
    for (const char* name : {"middle", "base"}) {
      const auto content = read_file(here(name));
      ASSERT_TRUE(content);
      deliver(*content);
    }
  }
  Result<std::string> compare(const char* name, std::string digest = {}) {
    if (digest.empty()) {
      const UniqueFd file(::open(here(name).c_str(), O_RDONLY | O_CLOEXEC));
      digest = *content::file_digest(file.get());
    }
    return side_->handle("host1", verb::kFile,
                         to_json(FileRequest{kMove, there(name), std::move(digest)}));
  }
  void expect_nothing_is_left() {
    for (const char* name : {"top", "middle", "base"})
      EXPECT_FALSE(fs::exists(there(name))) << name;
  }
};

TEST_F(Layers, WhatIsMissingComesBeforeAnythingIsPrepared) {
  ASSERT_TRUE(reserve(request()));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict) << "nothing has come";
  for (int twice = 0; twice < 2; ++twice) {
    const auto awaited = call(verb::kLayers);
    ASSERT_TRUE(awaited) << awaited.error().text();
  }
  EXPECT_FALSE(compare("middle")) << "it has not come";
  bring();
  const auto same = compare("middle");
  ASSERT_TRUE(same) << same.error().text();
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict) << "base was not compared";
  ASSERT_TRUE(compare("base"));
  const auto prepared = call(verb::kPrepare);
  ASSERT_TRUE(prepared) << prepared.error().text();
  EXPECT_EQ(backing_chain_of(there("top"), "qcow2"),
            (std::vector<std::string>{there("middle"), there("base")}));
  EXPECT_EQ(*read_file(there("base")), *read_file(here("base")));
  EXPECT_FALSE(call(verb::kLayers)) << "too late";
  ASSERT_TRUE(undo());
  expect_nothing_is_left();
}

TEST_F(Layers, WhatDiffersIsNotTaken) {
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  bring();
  const auto differs = compare("base", std::string(64, '0'));
  ASSERT_FALSE(differs);
  EXPECT_EQ(differs.error().code, ErrorCode::kCorrupt);
  ASSERT_TRUE(undo());
  expect_nothing_is_left();
}

// A peer's image could name any file of this host.
TEST_F(Layers, WhatNamesAnotherFileIsNotTaken) {
  make_middle("/etc/shadow");
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  bring();
  ASSERT_TRUE(compare("middle") && compare("base")) << "it is what was sent";
  const auto prepared = call(verb::kPrepare);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code, ErrorCode::kPolicy);
  expect_nothing_is_left();
}

TEST_F(Layers, ARestartOfDroverdIsTheEndOfIt) {
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  ASSERT_TRUE(fs::exists(there("base")));
  restart();
  EXPECT_EQ(call(verb::kLayers).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(compare("base").error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(undo());
  expect_nothing_is_left();
}

TEST_F(Layers, WhatIsSaidToBeRawIsNoImageOfAnotherKind) {
  std::ofstream(here("base"), std::ios::binary)
      << std::string("QFI\xfb", 4) << std::string(996, '0');
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  bring();
  ASSERT_TRUE(compare("middle") && compare("base"));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kPolicy);
  expect_nothing_is_left();
}

TEST_F(Layers, ADiscIsAFileThatNothingStandsOn) {
  std::ofstream(here("disc")) << std::string(50'000, 'd');
  auto with_disc = request();
  with_disc.plan.files.push_back({"sda", here("disc"), there("disc"), "raw", mib(1), mib(1), {}});
  ASSERT_TRUE(reserve(with_disc));
  ASSERT_TRUE(call(verb::kLayers));
  bring();
  deliver(*read_file(here("disc")));
  ASSERT_TRUE(compare("middle") && compare("base"));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict) << "the disc was not compared";
  ASSERT_TRUE(compare("disc"));
  const auto prepared = call(verb::kPrepare);
  ASSERT_TRUE(prepared) << prepared.error().text();
  EXPECT_EQ(*read_file(there("disc")), *read_file(here("disc")));
  EXPECT_EQ(backing_chain_of(there("top"), "qcow2"),
            (std::vector<std::string>{there("middle"), there("base")}));
  ASSERT_TRUE(undo());
  EXPECT_FALSE(fs::exists(there("disc")));
  expect_nothing_is_left();
}

// What is compared as a file that is there would not be looked at as one that came.
TEST_F(Layers, APlanSaysOneThingOfAPath) {
  auto twice = request();
  twice.plan.files.push_back(twice.plan.files[0]);
  twice.plan.files[2].item = "vdb";
  twice.plan.files[2].present = true;
  EXPECT_EQ(reserve(twice).error().code, ErrorCode::kProtocol);
  twice.plan.files[2].present = false;
  EXPECT_TRUE(reserve(twice)) << "two disks may stand on one file";
}

TEST_F(Layers, NothingIsSettledThatWasNotPrepared) {
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  bring();
  EXPECT_EQ(settle().error().code, ErrorCode::kConflict);
  ASSERT_TRUE(undo());
  expect_nothing_is_left();
}

TEST_F(Layers, AFileThatComesWithAnotherMoveIsWaitedFor) {
  constexpr const char* kOther = "a1b2c3d4";
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  auto other = request();
  other.move = other.epoch = kOther;
  other.plan.vm.uuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ac";
  other.plan.vm.name = "web02";
  other.destination_xml = other.persistent_xml = definition_of(other.plan.vm.uuid, "web02");
  other.plan.placements[0].destination_path = there("top2");
  ASSERT_TRUE(reserve(other));
  const auto said = side_->handle("host1", verb::kLayers, to_json(MoveName{kOther}));
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(said.error().text().contains("web01")) << said.error().text();
  ASSERT_TRUE(fs::exists(there("base"))) << "the first move's";
}

// As long as it comes, the reservation holds.
TEST_F(Layers, WhatASilentSourceLeftIsSweptAway) {
  lease_ = std::chrono::milliseconds(0);
  restart();
  ASSERT_TRUE(reserve(request()));
  ASSERT_TRUE(call(verb::kLayers));
  carriage_.state.mover_alive = true;
  side_->sweep();
  EXPECT_TRUE(fs::exists(there("base")));
  carriage_.state.mover_alive = false;
  side_->sweep();
  expect_nothing_is_left();
}

TEST_F(Layers, OnlyALiveMoveAwaitsThem) {
  auto cold = request();
  cold.plan.kind = MoveKind::kOffline;
  ASSERT_TRUE(reserve(cold));
  EXPECT_EQ(call(verb::kLayers).error().code, ErrorCode::kConflict);
  expect_nothing_is_left();
}

}  // namespace
}  // namespace drover::move
