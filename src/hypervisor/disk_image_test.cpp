// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/disk_image.h"

#include <array>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/allowed_folder.h"
#include "hypervisor/program.h"
#include "hypervisor/qemu_conf.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

// A folder of the test's own, which is allowed, with a neighbour that is not.
class DiskImage : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-image-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "allowed/below mit Leer");
    fs::create_directories(root_ / "allowed2");
    fs::create_directories(root_ / "secret");
    allowed_ = {(root_ / "allowed").string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  DiskPlacement placement(const fs::path& path, const std::string& format = "qcow2") {
    DiskPlacement made;
    made.target = "vda";
    made.destination_path = path.string();
    made.format = format;
    made.virtual_size = mib(64);
    made.cluster_size = format == "qcow2" ? kib(128) : ByteCount{};
    return made;
  }
  mode_t mode(const fs::path& path) {
    struct stat found{};
    EXPECT_EQ(::lstat(path.c_str(), &found), 0);
    return found.st_mode & 07777;
  }

  fs::path root_;
  std::vector<std::string> allowed_;
};

TEST_F(DiskImage, IsCreatedWithTheSameShape) {
  const fs::path path = root_ / "allowed/below mit Leer/wéb 01.qcow2";
  const auto made = create_image(placement(path), allowed_);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(*made, file_identity(path.string()).value());
  EXPECT_EQ(mode(path), 0600u);
  const auto facts = image_facts(path.string(), "qcow2");
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->format, "qcow2");
  EXPECT_EQ(facts->virtual_size, mib(64));
  EXPECT_EQ(facts->cluster_size, kib(128));
  EXPECT_TRUE(facts->backing_chain.empty());
  EXPECT_LT(facts->allocated, mib(1));
}

TEST_F(DiskImage, IsCreatedOnAFileThatIsNotLookedAt) {
  const fs::path path = root_ / "allowed/top.qcow2";
  const std::string below = (root_ / "allowed/below mit Leer/base.img").string();
  const FilePlacement base{"vda", "/a", below, "raw", mib(32), {}, {}};
  ASSERT_TRUE(create_image(placement(path), allowed_, &base));
  ASSERT_TRUE(create_image(placement(below, "raw"), allowed_));
  const auto facts = image_facts(path.string(), "qcow2");
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->virtual_size, mib(64));
  ASSERT_EQ(facts->layers.size(), 1u);
  EXPECT_EQ(facts->layers[0].path, below);
  EXPECT_EQ(facts->layers[0].format, "raw");
  EXPECT_FALSE(create_image(placement(root_ / "allowed/raw.img", "raw"), allowed_, &base));
}

TEST_F(DiskImage, IsCreatedRawAndSparse) {
  const fs::path path = root_ / "allowed/data.img";
  ASSERT_TRUE(create_image(placement(path, "raw"), allowed_));
  EXPECT_EQ(fs::file_size(path), mib(64).bytes);
  EXPECT_EQ(image_facts(path.string(), "raw")->virtual_size, mib(64));
  EXPECT_LT(image_facts(path.string(), "raw")->allocated, mib(1));
}

TEST_F(DiskImage, IsCreatedFullAndFilledAgain) {
  for (const char* format : {"raw", "qcow2"}) {
    const fs::path path = root_ / "allowed" / format;
    auto full = placement(path, format);
    full.allocation = Allocation::kFull;
    const auto made = create_image(full, allowed_);
    ASSERT_TRUE(made) << made.error().text();
    const auto room = [&] {
      struct stat found{};
      EXPECT_EQ(::stat(path.c_str(), &found), 0);
      return static_cast<std::uint64_t>(found.st_blocks) * 512;
    };
    EXPECT_GE(room(), full.virtual_size.bytes) << format;
    const auto facts = image_facts(path, format);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->virtual_size, full.virtual_size);
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20),
              0);
    EXPECT_LT(room(), full.virtual_size.bytes) << format;
    const auto size = fs::file_size(path);
    ASSERT_TRUE(fill_holes(path, *made));
    ASSERT_TRUE(fill_holes(path, *made)) << "twice";
    EXPECT_GE(room(), full.virtual_size.bytes) << format;
    EXPECT_EQ(fs::file_size(path), size);
    FileIdentity other = *made;
    ++other.inode;
    EXPECT_EQ(fill_holes(path, other).error().code, ErrorCode::kConflict);
  }
}

TEST_F(DiskImage, NeverReplacesWhatIsThere) {
  const fs::path path = root_ / "allowed/web01.qcow2";
  std::ofstream(path) << "precious";
  const auto made = create_image(placement(path), allowed_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kConflict);
  EXPECT_EQ(fs::file_size(path), 8u);

  const fs::path link = root_ / "allowed/link.qcow2";
  fs::create_symlink(root_ / "secret/new.qcow2", link);
  EXPECT_EQ(create_image(placement(link), allowed_).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(fs::exists(root_ / "secret/new.qcow2"));
}

TEST_F(DiskImage, StaysBeneathTheAllowedFolders) {
  fs::create_directory_symlink(root_ / "secret", root_ / "allowed/way out");
  fs::create_directory_symlink("below mit Leer", root_ / "allowed/inner");
  for (const fs::path& path :
       {root_ / "secret/a.img", root_ / "allowed2/a.img", root_ / "allowed/../secret/a.img",
        root_ / "allowed/way out/a.img", root_ / "allowed/inner/a.img", fs::path("allowed/a.img"),
        fs::path(root_ / "allowed/a\nb.img")}) {
    const auto made = create_image(placement(path, "raw"), allowed_);
    ASSERT_FALSE(made) << path;
    EXPECT_EQ(made.error().code, ErrorCode::kPermission) << path << made.error().text();
  }
  EXPECT_EQ(create_image(placement(root_ / "allowed/missing/a.img", "raw"), allowed_).error().code,
            ErrorCode::kNotFound);
  EXPECT_TRUE(fs::is_empty(root_ / "secret"));
}

TEST_F(DiskImage, LeavesNothingWhenItCannotBeMade) {
  auto wrong = placement(root_ / "allowed/web01.qcow2");
  wrong.cluster_size = {12345};
  EXPECT_FALSE(create_image(wrong, allowed_));
  EXPECT_FALSE(fs::exists(root_ / "allowed/web01.qcow2"));
  EXPECT_EQ(create_image(placement(root_ / "allowed/a", "vmdk"), allowed_).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(DiskImage, IsRemovedOnlyIfItIsTheOneMeant) {
  const fs::path path = root_ / "allowed/a.img";
  const auto made = create_image(placement(path, "raw"), allowed_);
  ASSERT_TRUE(made);
  EXPECT_EQ(remove_image(path.string(), {made->device, made->inode + 1}).error().code,
            ErrorCode::kConflict);
  EXPECT_TRUE(fs::exists(path));
  EXPECT_TRUE(remove_image(path.string(), *made));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(remove_image(path.string(), *made));
  EXPECT_TRUE(remove_image("/no/such/folder/a.img", *made));
}

TEST_F(DiskImage, GoesToQuarantineAndBackEachTwice) {
  const fs::path path = root_ / "allowed/web 01.img";
  const auto made = create_image(placement(path, "raw"), allowed_);
  ASSERT_TRUE(made);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  for (int i = 0; i < 2; ++i) {
    const auto kept = quarantine_image(path.string(), *made, "k3f9x2qa");
    ASSERT_TRUE(kept) << kept.error().text();
    EXPECT_EQ(*kept, path.string() + ".drover-k3f9x2qa");
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(mode(*kept), 0400u);
  }
  for (int i = 0; i < 2; ++i) {
    const auto back = restore_image(path.string(), *made, "k3f9x2qa");
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*made, file_identity(path.string()).value());
  }
  // 0600 where the file system keeps no attributes for us, or we are not root.
  EXPECT_TRUE(mode(path) == 0640 || mode(path) == 0600);
}

TEST_F(DiskImage, IsNotConfusedWithAnother) {
  const fs::path path = root_ / "allowed/a.img";
  const auto made = create_image(placement(path, "raw"), allowed_);
  ASSERT_TRUE(made);
  ASSERT_TRUE(quarantine_image(path.string(), *made, "one"));
  const auto other = create_image(placement(path, "raw"), allowed_);
  ASSERT_TRUE(other);
  EXPECT_EQ(restore_image(path.string(), *made, "one").error().code, ErrorCode::kConflict);
  EXPECT_EQ(quarantine_image(path.string(), *made, "two").error().code, ErrorCode::kConflict);
  EXPECT_EQ(quarantine_image((root_ / "allowed/gone").string(), *made, "x").error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(*other, file_identity(path.string()).value());
}

TEST_F(DiskImage, ShowsItsBackingChainAndIsNeverProbedAsRaw) {
  const std::string base = (root_ / "allowed/base.qcow2").string(),
                    top = (root_ / "allowed/top.qcow2").string();
  ASSERT_TRUE(create_image(placement(base), allowed_));
  ASSERT_TRUE(run_program(
      {.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top}}));
  EXPECT_EQ(image_facts(top, "qcow2")->backing_chain, std::vector<std::string>{base});
  const auto raw = image_facts(top, "raw");
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->format, "raw");
  EXPECT_TRUE(raw->backing_chain.empty());
  EXPECT_FALSE(image_facts("/no/such/image", "qcow2"));
  EXPECT_FALSE(image_facts("json:{}", "qcow2"));
}

TEST(PlainPath, IsAbsoluteAndWithoutTricks) {
  for (const char* good : {"/", "/a", "/a b/ä", "/a/..b/c.."})
    EXPECT_TRUE(is_plain_path(good)) << good;
  for (const char* bad :
       {"", "a", "./a", "/a/../b", "/..", "/a/.", "/a//b", "/a/", "/a\nb", "/a\x7f"}) {
    EXPECT_FALSE(is_plain_path(bad)) << bad;
  }
}

TEST(AllowedFolder, IsMatchedByWholeComponents) {
  const std::vector<std::string> allowed{"/srv/vms/", "/var/lib/libvirt/images"};
  EXPECT_TRUE(is_allowed("/srv/vms", allowed));
  EXPECT_TRUE(is_allowed("/srv/vms/a/b", allowed));
  EXPECT_FALSE(is_allowed("/srv/vms2", allowed));
  EXPECT_FALSE(is_allowed("/srv", allowed));
  EXPECT_FALSE(is_allowed("/srv/vms/../x", allowed));
  EXPECT_FALSE(is_allowed("/srv/vms", {}));
}

TEST(Program, IsKilledAtItsLimits) {
  EXPECT_EQ(run_program({.arguments = {"sleep", "30"}, .limit = std::chrono::milliseconds(50)})
                .error()
                .code,
            ErrorCode::kTimeout);
  EXPECT_EQ(run_program({.arguments = {"cat", "/dev/zero"}, .output_bytes_max = 1000}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(run_program({.arguments = {"no-such-program"}}).error().code, ErrorCode::kNotFound);
  const auto failed = run_program({.arguments = {"ls", "/no/such/folder"}});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().causes.at(0).find("/no/such/folder"), std::string::npos);
  EXPECT_EQ(run_program({.arguments = {"echo", "a b", "$HOME"}}).value(), "a b $HOME\n");
}

TEST(QemuConf, ReadsWhatMatters) {
  const auto conf =
      parse_qemu_conf("# user = \"x\"\nuser = \"qemu\" # comment\n migrate_tls_force=1\n");
  EXPECT_EQ(conf.user, "qemu");
  EXPECT_TRUE(conf.tls_forced);
  EXPECT_EQ(parse_qemu_conf("").user, "libvirt-qemu");
  EXPECT_EQ(parse_qemu_conf("user = \"+107\"").user, "107");
  EXPECT_FALSE(parse_qemu_conf("#migrate_tls_force = 1").tls_forced);
  EXPECT_TRUE(parse_qemu_conf("").gives_images);
  EXPECT_FALSE(parse_qemu_conf("dynamic_ownership = 0").gives_images);
}

TEST_F(DiskImage, IsGivenToQemuOnlyIfItIsRoots) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  const fs::path path = root_ / "allowed/disk.qcow2";
  std::ofstream(path) << "image";
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat found{};
  EXPECT_FALSE(give_image_to_qemu(image.get(), {.user = "64055", .gives_images = false}).value());
  EXPECT_TRUE(give_image_to_qemu(image.get(), {.user = "64055"}).value());
  EXPECT_FALSE(give_image_to_qemu(image.get(), {.user = "64056"}).value()) << "it is not root's";
  ASSERT_EQ(::fstat(image.get(), &found), 0);
  EXPECT_EQ(found.st_uid, 64055u);
  EXPECT_FALSE(give_image_to_qemu(image.get(), {.user = "no such user"}));
}

}  // namespace
}  // namespace drover
