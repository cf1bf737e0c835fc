// SPDX-License-Identifier: Apache-2.0
#include "move/group.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "content/ops.h"
#include "hypervisor/fake/fake.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

std::string uuid_of(int number) { return fmt::format("6f0f6b0e-7d0a-4c0e-9d0c-{:012}", number); }

class Group : public testing::Test, protected WorldFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_folder(folder_ / "images", 0700));
    ASSERT_TRUE(make_folder(folder_ / "elsewhere", 0700));
    open_world(hypervisor_, peers_);
    allow_only(folder_ / "images");
    allow("web");
  }
  void TearDown() override { close_world(); }
  void allow(const std::string& groups) {
    ASSERT_TRUE(book_->change_settings({{"groups", SettingChange::Op::kSet, groups}}));
  }
  std::filesystem::path image(const std::string& name, const std::string& folder = "images") {
    const auto path = folder_ / folder / name;
    std::ofstream(path) << name;
    return path;
  }
  // A VM that is here with that image.
  void define(int number, const std::filesystem::path& path, const char* device = "disk") {
    const std::string disk = fmt::format(
        "<disk type='file' device='{}'><driver name='qemu' type='raw'/><source file='{}'/>"
        "<target dev='vda' bus='virtio'/></disk>",
        device, path.string());
    const auto defined = hypervisor_.define(fmt::format(
        "<domain type='kvm'><name>vm{}</name><uuid>{}</uuid><memory unit='MiB'>64</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
        "<devices>{}</devices></domain>",
        number, uuid_of(number), disk));
    ASSERT_TRUE(defined) << defined.error().text();
  }
  void come(int number, const std::string& group = "web") {
    define(number, image(fmt::format("disk{}", number)));
    ASSERT_TRUE(came_in_group(*world_, uuid_of(number), group));
  }
  std::vector<std::string> opened(const std::string& group = "web", int number = 99,
                                  ByteCount size = gib(1)) {
    Plan plan;
    plan.request.group = group;
    plan.vm.uuid = uuid_of(number);
    plan.placements.emplace_back().allocated = size;
    std::vector<std::string> contents;
    for (const UniqueFd& file : open_group(*world_, plan)) {
      char text[16] = {};
      EXPECT_GT(::pread(file.get(), text, sizeof text - 1, 0), 0);
      EXPECT_LT(::write(file.get(), text, 1), 0) << "it can be written";
      contents.emplace_back(text);
    }
    return contents;
  }
  std::optional<Finding> note(const std::string& group) {
    MoveRequest request;
    request.group = group;
    Vm vm;
    vm.uuid = uuid_of(99);
    vm.name = "web01";
    vm.disks.emplace_back().allocated = gib(1);
    return group_note(*world_, request, vm);
  }
  using Contents = std::vector<std::string>;

  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
};

TEST_F(Group, SharesTheImagesOfItsOtherVmsTheNewestFirst) {
  for (const int number : {1, 2, 3}) come(number);
  come(4, "db");
  EXPECT_EQ(opened(), (Contents{"disk3", "disk2", "disk1"}));
  EXPECT_EQ(opened("web", 2), (Contents{"disk3", "disk1"})) << "not what is its own";
  ASSERT_TRUE(came_in_group(*world_, uuid_of(1), "web"));
  EXPECT_EQ(opened(), (Contents{"disk1", "disk3", "disk2"})) << "it came again";
}

TEST_F(Group, SharesNothingThatWasNotAskedForAndAllowed) {
  come(1);
  come(2, "db");
  EXPECT_EQ(opened(""), Contents{});
  EXPECT_EQ(opened("db"), Contents{}) << "the administrator of this host did not name it";
  EXPECT_EQ(opened("we"), Contents{});
  allow("db");
  EXPECT_EQ(opened("web"), Contents{});
  EXPECT_EQ(opened("db"), Contents{"disk2"});
  allow("off");
  EXPECT_EQ(opened("web"), Contents{});
}

TEST_F(Group, IsRememberedUntilTheVmIsGone) {
  come(1);
  come(2);
  open_world(hypervisor_, peers_);
  EXPECT_EQ(opened(), (Contents{"disk2", "disk1"}));
  ASSERT_TRUE(hypervisor_.undefine(uuid_of(2)));
  EXPECT_EQ(opened(), Contents{"disk1"});
  EXPECT_EQ(journal_->group_members()->size(), 1u) << "a later VM of this UUID is of no group";
  ASSERT_TRUE(hypervisor_.undefine(uuid_of(1)));
  forget_gone_members(*world_);
  EXPECT_TRUE(journal_->group_members()->empty());
}

TEST_F(Group, IsNotForgottenBecauseLibvirtIsSilent) {
  come(1);
  hypervisor_.set_answering(false);
  forget_gone_members(*world_);
  EXPECT_EQ(opened(), Contents{});
  hypervisor_.set_answering(true);
  EXPECT_EQ(opened(), Contents{"disk1"});
}

TEST_F(Group, IsLeftByComingInAnotherOrNone) {
  come(1);
  allow("web,db");
  ASSERT_TRUE(came_in_group(*world_, uuid_of(1), "db"));
  EXPECT_EQ(opened("web"), Contents{});
  EXPECT_EQ(opened("db"), Contents{"disk1"});
  ASSERT_TRUE(came_in_group(*world_, uuid_of(1), ""));
  EXPECT_EQ(opened("db"), Contents{});
}

TEST_F(Group, OpensOnlyDisksBeneathAllowedFoldersAndNoLinks) {
  define(1, image("outside", "elsewhere"));
  std::filesystem::create_symlink(image("target"), folder_ / "images" / "link");
  define(2, folder_ / "images" / "link");
  define(3, image("media"), "cdrom");
  define(4, folder_ / "images" / "gone");
  for (const int number : {1, 2, 3, 4}) {
    ASSERT_TRUE(came_in_group(*world_, uuid_of(number), "web"));
  }
  EXPECT_EQ(opened(), Contents{});
  come(5);
  EXPECT_EQ(opened(), Contents{"disk5"});
}

TEST_F(Group, ReadsABaseImageOnce) {
  const auto base = image("base");
  for (const int number : {1, 2}) {
    define(number, base);
    ASSERT_TRUE(came_in_group(*world_, uuid_of(number), "web"));
  }
  EXPECT_EQ(opened(), Contents{"base"});
}

TEST_F(Group, IsReadOnlyAsFarAsItIsWorthIt) {
  for (const int number : {1, 2, 3}) come(number);
  EXPECT_EQ(opened("web", 99, ByteCount{1}).size(), 1u) << "one has more than twice as much";
  for (int number = 10; number < 50; ++number) come(number);
  EXPECT_EQ(opened().size(), content::kGroupFilesMax);
}

TEST_F(Group, IsToldInThePlan) {
  EXPECT_FALSE(note(""));
  EXPECT_EQ(note("web")->code, "GROUP_USED");
  EXPECT_EQ(note("web")->what, "host1 has no other VM of group web yet.");
  come(1);
  come(2);
  EXPECT_EQ(note("web")->what.substr(0, 30), "host1 has 2 VMs of group web (");
  EXPECT_EQ(note("web")->level, FindingLevel::kNote);
  EXPECT_EQ(note("db")->code, "GROUP_NOT_SHARED");
  EXPECT_EQ(note("db")->level, FindingLevel::kNote);
}

}  // namespace
}  // namespace drover::move
