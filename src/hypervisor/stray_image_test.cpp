// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/stray_image.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "hypervisor/program.h"

namespace drover {
namespace {

class StrayImage : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string make(std::vector<std::string> words) {
    const std::string path = folder_ / "image";
    words.insert(words.begin(), {"qemu-img", "create", "-q"});
    for (auto& word : words) {
      if (word == "IMAGE") word = path;
    }
    const auto made = run_program({.arguments = words});
    EXPECT_TRUE(made) << made.error().text();
    return path;
  }
  Result<ImageFacts> look(const std::string& path, const char* format = "qcow2") {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return stray_image_facts(file.get(), "image", format);
  }
  void patch(const std::string& path, long offset, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file.write(bytes.data(), static_cast<long>(bytes.size()));
  }
  static Status go_on() { return {}; }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-stray-" + random_name(8));
};

TEST_F(StrayImage, ReadsWhatQemuImgWrote) {
  const auto facts =
      look(make({"-f", "qcow2", "-o", "cluster_size=32k,compat=1.1", "IMAGE", "10M"}));
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->virtual_size, mib(10));
  EXPECT_EQ(facts->cluster_size, kib(32));
  EXPECT_TRUE(facts->backing_chain.empty());
  EXPECT_FALSE(facts->data_file || facts->encrypted);
  EXPECT_TRUE(look(make({"-f", "qcow2", "-o", "compat=0.10", "IMAGE", "10M"})));
}

TEST_F(StrayImage, TellsOtherFilesThatTheHeaderNames) {
  const auto based =
      look(make({"-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", "IMAGE", "1M"}));
  ASSERT_TRUE(based);
  ASSERT_EQ(based->backing_chain.size(), 1u);
  EXPECT_EQ(based->backing_chain[0], "/etc/shadow");
  ASSERT_EQ(based->layers.size(), 1u);
  EXPECT_EQ(based->layers[0].format, "raw");
  const auto older = look(
      make({"-f", "qcow2", "-o", "compat=0.10", "-u", "-b", "base", "-F", "qcow2", "IMAGE", "1M"}));
  ASSERT_TRUE(older);
  EXPECT_EQ(older->layers.at(0).path, "base");
  EXPECT_EQ(older->layers[0].format, "qcow2");
  const auto split =
      look(make({"-f", "qcow2", "-o", "data_file=" + (folder_ / "data").string(), "IMAGE", "1M"}));
  ASSERT_TRUE(split);
  EXPECT_TRUE(split->data_file);
}

TEST_F(StrayImage, RefusesWhatItDoesNotKnow) {
  const std::string path = make({"-f", "qcow2", "IMAGE", "1M"});
  EXPECT_EQ(look(path, "vmdk").error().code, ErrorCode::kCorrupt);
  patch(path, 72, std::string("\0\0\0\0\0\0\1\0", 8));
  EXPECT_EQ(look(path).error().code, ErrorCode::kCorrupt);
  patch(path, 0, "text");
  EXPECT_EQ(look(path).error().code, ErrorCode::kCorrupt);
  std::filesystem::resize_file(path, 20);
  EXPECT_EQ(look(path).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(look(path, "raw"));
}

TEST_F(StrayImage, FindsDamagedTables) {
  const std::string path = make({"-f", "qcow2", "IMAGE", "64M"});
  ASSERT_TRUE(run_program({.arguments = {"qemu-io", "-f", "qcow2", "-c", "write 0 4M", path}}));
  const auto sound = check_image_tables(path, go_on);
  EXPECT_TRUE(sound) << sound.error().text();
  // The first entry of the first level, which leads to the tables of the second.
  patch(path, 196608, std::string("\x80\0\0\0\xff\xff\0\0", 8));
  EXPECT_EQ(check_image_tables(path, go_on).error().code, ErrorCode::kCorrupt);
}

TEST_F(StrayImage, LooksAtNothingBelow) {
  const std::string path =
      make({"-f", "qcow2", "-u", "-b", "/absent/base.qcow2", "-F", "qcow2", "IMAGE", "64M"});
  const auto sound = check_image_tables(path, go_on);
  EXPECT_TRUE(sound) << sound.error().text();
}

bool is_checked(const std::string& path) {
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(process.path() / "cmdline", std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(file), {}};
    if (words.find(path) != std::string::npos) return true;
  }
  return false;
}

// With all that was begun for it.
TEST_F(StrayImage, ACheckCanBeEnded) {
  // Tables that take a while.
  const std::string path =
      make({"-f", "qcow2", "-o", "cluster_size=4k,preallocation=metadata", "IMAGE", "256M"});
  int asked = 0;
  const auto ended = check_image_tables(path, [&] {
    return ++asked < 2 ? Status() : Status(fail(ErrorCode::kCancelled, "It is enough."));
  });
  EXPECT_TRUE(ended || ended.error().code == ErrorCode::kCancelled);
  EXPECT_FALSE(is_checked(path)) << "qemu-img goes on";
}

}  // namespace
}  // namespace drover
