// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qcow2_head.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/unique_fd.h"
#include "hypervisor/program.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

class Head : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-head-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    path_ = (root_ / "image").string();
  }
  void TearDown() override { fs::remove_all(root_); }
  void make(std::vector<std::string> words) {
    words.insert(words.begin(), {"qemu-img", "create", "-q", "-f", "qcow2"});
    words.insert(words.end(), {path_, "8M"});
    ASSERT_TRUE(run_program({.arguments = words}));
  }
  Result<Qcow2Head> read() {
    return read_qcow2_head(UniqueFd(::open(path_.c_str(), O_RDONLY)).get());
  }
  std::string content() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }

  fs::path root_;
  std::string path_;
};

TEST_F(Head, SaysWhatTheImageIsBuiltOn) {
  for (const char* version : {"compat=1.1", "compat=0.10"}) {
    make({"-o", version, "-u", "-F", "raw", "-b", "below/base.img"});
    const auto head = read();
    ASSERT_TRUE(head) << head.error().text();
    EXPECT_EQ(head->backing, "below/base.img");
    EXPECT_EQ(head->backing_format, "raw");
    EXPECT_FALSE(head->has_data_file);
  }
  make({});
  EXPECT_TRUE(read() && read()->backing.empty() && read()->backing_format.empty());
}

TEST_F(Head, SaysThatItsDataLieElsewhere) {
  make({"-o", "data_file=" + (root_ / "data").string()});
  ASSERT_TRUE(read());
  EXPECT_TRUE(read()->has_data_file);
  EXPECT_EQ(read()->data_file, (root_ / "data").string());
}

TEST_F(Head, WhatContradictsItselfIsNoImage) {
  write("");
  EXPECT_EQ(read().error().code, ErrorCode::kInvalidArgument);
  make({"-u", "-F", "raw", "-b", "base"});
  const std::string whole = content();
  for (const std::size_t length : {4u, 71u, 103u, 110u}) {
    write(whole.substr(0, length));
    EXPECT_FALSE(read()) << length;
  }
  // Each field of the header at its highest: nothing is read behind the end.
  for (std::size_t at = 4; at + 4 <= 112; at += 4) {
    std::string bytes = whole;
    bytes.replace(at, 4, std::string(4, '\xff'));
    write(bytes);
    (void)read();
  }
  std::string far = whole;
  far.replace(16, 4, std::string("\0\0\x04\0", 4));  // a name of 1024 bytes
  write(far);
  EXPECT_FALSE(read());
}

}  // namespace
}  // namespace drover
