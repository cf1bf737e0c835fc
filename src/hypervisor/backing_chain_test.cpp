// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/backing_chain.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

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

TEST_F(BackingChain, NothingIsReadOfARawImage) {
  const std::string top = make("top", (root_ / "base").string(), "raw");
  EXPECT_EQ(backing_chain_of(top, "qcow2").size(), 1u);
  EXPECT_TRUE(backing_chain_of(top, "raw").empty());
  std::ofstream(root_ / "short") << "QFI\xfb";
  EXPECT_TRUE(backing_chain_of((root_ / "short").string(), "qcow2").empty());
}

}  // namespace
}  // namespace drover
