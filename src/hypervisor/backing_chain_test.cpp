// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/backing_chain.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/unique_fd.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/program.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

class BackingChain : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-chain-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "below");
  }
  void TearDown() override { fs::remove_all(root_); }
  std::string make(const std::string& name, const std::string& below, const std::string& format) {
    const std::string path = (root_ / name).string();
    std::vector<std::string> words{"qemu-img", "create", "-q", "-f", "qcow2"};
    if (!below.empty()) words.insert(words.end(), {"-u", "-F", format, "-b", below});
    words.insert(words.end(), {path, "8M"});
    EXPECT_TRUE(run_program({.arguments = words}));
    return path;
  }
  fs::path root_;
};

TEST_F(BackingChain, IsReadFromEachImageAndMayBeRelative) {
  const std::string base = (root_ / "base.img").string();
  std::ofstream(base) << "a raw file";
  const std::string middle = make("below/middle", "../base.img", "raw");
  const std::string top = make("top", "below/middle", "qcow2");
  EXPECT_EQ(backing_chain_of(top, "qcow2"), (std::vector<std::string>{middle, base}));
  EXPECT_TRUE(backing_chain_of(make("alone", "", ""), "qcow2").empty());
}

TEST_F(BackingChain, EndsAtWhatIsNoFileAndAtALoop) {
  EXPECT_TRUE(backing_chain_of(make("net", "nbd://host/base", "raw"), "qcow2").empty());
  const std::string gone = (root_ / "gone").string();
  EXPECT_EQ(backing_chain_of(make("orphan", gone, "qcow2"), "qcow2"),
            std::vector<std::string>{gone});
  const std::string one = make("one", (root_ / "other").string(), "qcow2");
  make("other", one, "qcow2");
  EXPECT_EQ(backing_chain_of(one, "qcow2").size(), kBackingChainMax);
  EXPECT_TRUE(backing_chain_of(gone, "qcow2").empty());
}

TEST_F(BackingChain, ANameIsWrittenAnewAndStaysRelative) {
  const std::string top = make("top", "base.img", "raw");
  EXPECT_EQ(*backing_name_of(top), "base.img");
  EXPECT_EQ(backing_name_at("base.img", "/srv/new/top", "/srv/new/base.img"), "base.img");
  EXPECT_EQ(backing_name_at("file:../base.img", "/srv/new/top", "/srv/base.img"), "../base.img");
  EXPECT_EQ(backing_name_at("/old/base.img", "/srv/new/top", "/srv/new/base.img"),
            "/srv/new/base.img");
  const auto set = set_backing_name(top, *file_identity(top), "below/other.img", "raw");
  ASSERT_TRUE(set) << set.error().text();
  EXPECT_EQ(*backing_name_of(top), "below/other.img");
  EXPECT_EQ(backing_chain_of(top, "qcow2"),
            std::vector<std::string>{(root_ / "below/other.img").string()});
  const UniqueFd image(::open(top.c_str(), O_RDWR | O_CLOEXEC));
  const auto written = write_backing_name(image.get(), top, (root_ / "top.base").string(), "qcow2");
  ASSERT_TRUE(written) << written.error().text();
  EXPECT_EQ(*backing_name_of(top), (root_ / "top.base").string());
  const std::string other = make("other", "", "");
  EXPECT_FALSE(backing_name_of(other));
  EXPECT_EQ(set_backing_name(top, *file_identity(other), "x", "raw").error().code,
            ErrorCode::kConflict);
}

TEST_F(BackingChain, NothingIsReadOfARawImage) {
  const std::string top = make("top", (root_ / "base").string(), "raw");
  EXPECT_EQ(backing_chain_of(top, "qcow2").size(), 1u);
  EXPECT_TRUE(backing_chain_of(top, "raw").empty());
  std::ofstream(root_ / "short") << "QFI\xfb";
  EXPECT_TRUE(backing_chain_of((root_ / "short").string(), "qcow2").empty());
}

TEST_F(BackingChain, FindsFilesInJsonNames) {
  const std::string base = make("base", "", "");
  for (const std::string& name :
       {R"(json:{"driver":"qcow2","file":{"driver":"file","filename":")" + base + R"("}})",
        R"(json:{"driver":"qcow2","file.driver":"file","file.filename":")" + base + R"("})"}) {
    EXPECT_EQ(backing_chain_of(make("top", name, "qcow2"), "qcow2"), std::vector<std::string>{base})
        << name;
  }
  for (const char* name : {"json:", "json:{", "json:[]", "json:{\"driver\":\"nbd\"}"})
    EXPECT_TRUE(backing_chain_of(make("odd", name, "raw"), "qcow2").empty()) << name;
}

TEST_F(BackingChain, ADataFileIsNeededToo) {
  const std::string data = (root_ / "data").string(), top = (root_ / "top").string();
  ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-o",
                                         "data_file=" + data, top, "8M"}}));
  EXPECT_EQ(backing_chain_of(top, "qcow2"), std::vector<std::string>{data});
}

TEST_F(BackingChain, OtherFormatsSayItToo) {
  const std::string base = make("base", "", "");
  const std::string qed = (root_ / "qed").string(), vmdk = (root_ / "vmdk").string();
  ASSERT_TRUE(run_program(
      {.arguments = {"qemu-img", "create", "-q", "-f", "qed", "-F", "qcow2", "-b", base, qed}}));
  EXPECT_EQ(backing_chain_of(qed, "qed"), std::vector<std::string>{base});
  EXPECT_TRUE(backing_chain_of(qed, "raw").empty());
  std::ofstream(vmdk) << "# Disk DescriptorFile\nversion=1\nparentFileNameHint=\"" << base
                      << "\"\nRW 128 FLAT \"part-f001.vmdk\" 0\n";
  EXPECT_EQ(backing_chain_of(vmdk, "vmdk"),
            (std::vector<std::string>{(root_ / "part-f001.vmdk").string(), base}));
}

}  // namespace
}  // namespace drover
