// SPDX-License-Identifier: Apache-2.0
// Disks that qemu-nbd serves as QEMU serves those of a picture.
#include "archive/picture_copy.h"

#include <filesystem>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "archive/socket_fixture.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "hypervisor/program.h"

namespace drover::archive {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class PictureCopy : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override {
    server_.reset();
    fs::remove_all(folder_);
  }
  std::string at(const char* name) const { return folder_ / name; }

  void run(std::vector<std::string> words) {
    const auto done = run_program({.arguments = std::move(words), .limit = 60s});
    ASSERT_TRUE(done) << done.error().text();
  }
  // Writes these commands of qemu-io's into a new image, and serves it as "vda".
  void serve(const std::string& format, const std::string& size,
             const std::vector<std::string>& commands) {
    run({"qemu-img", "create", "-q", "-f", format, at("disk"), size});
    std::vector<std::string> words{"qemu-io", "-f", format};
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    words.push_back(at("disk"));
    if (!commands.empty()) run(words);
    serve_disk(format, {});
  }
  void serve_chain() { serve_disk("qcow2", {"--allocation-depth"}); }
  void serve_disk(const std::string& format, const std::vector<std::string>& more) {
    std::vector<std::string> words{
        "qemu-nbd", "--read-only", "--persistent",       "--shared=16",
        "-x",       "vda",         "--format=" + format, "--socket=" + at("socket")};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(at("disk"));
    auto server = RunningProgram::start({.arguments = words});
    ASSERT_TRUE(server) << server.error().text();
    server_.emplace(std::move(*server));
    for (int i = 0; i < 400 && !listens(at("socket")); ++i) std::this_thread::sleep_for(5ms);
  }
  Result<HashedFile> copy(const std::string& format, ByteCount size, ByteCount cluster = {},
                          const CopyWatch& watch = {}) {
    const UniqueFd to(::open(at("copy").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    auto copied = copy_picture({at("socket"), "vda", format, size, cluster, {}}, to.get(), watch);
    if (!copied) return copied;
    EXPECT_EQ(hash_file(to.get(), "copy", {})->hash, copied->hash);
    struct stat found{};
    EXPECT_EQ(::fstat(to.get(), &found), 0);
    EXPECT_EQ(copied->size.bytes, static_cast<std::uint64_t>(found.st_size));
    allocated_ = static_cast<std::uint64_t>(found.st_blocks) * 512;
    return copied;
  }
  void expect_same(const std::string& served, const std::string& copied) {
    run({"qemu-img", "compare", "-U", "-f", served, "-F", copied, at("disk"), at("copy")});
    if (copied == "qcow2") run({"qemu-img", "check", "-q", "-f", "qcow2", at("copy")});
  }

  const fs::path folder_ = fs::temp_directory_path() / ("drover-picture-" + random_name(8));
  std::optional<RunningProgram> server_;
  std::uint64_t allocated_ = 0;
};

// One of many pieces, with data that lies here and there.
const std::vector<std::string> kScattered{"write -q -P 1 0 1k",       "write -q -P 2 1M 5M",
                                          "write -q -P 3 10304k 64k", "write -q -P 4 11M 64k",
                                          "write -q -P 5 11200k 64k", "write -q -P 6 63M 1M"};

TEST_F(PictureCopy, TheImageHasWhatTheDiskHas) {
  for (const std::string served : {"raw", "qcow2"}) {
    serve(served, "64M", kScattered);
    for (const std::string format : {"raw", "qcow2"}) {
      for (const std::uint64_t cluster : {0u, 4096u, 2u << 20}) {
        const auto copied = copy(format, mib(64), {cluster});
        ASSERT_TRUE(copied) << copied.error().text();
        expect_same(served, format);
      }
    }
    server_.reset();
    fs::remove(at("socket"));
    fs::remove(at("disk"));
  }
}

TEST_F(PictureCopy, HolesAndZerosTakeNoRoom) {
  serve("qcow2", "256M", {"write -q -P 7 3M 2M", "write -q -P 0 100M 8M", "write -q -z 200M 8M"});
  for (const std::string format : {"raw", "qcow2"}) {
    std::atomic<std::uint64_t> read{0};
    ASSERT_TRUE(copy(format, mib(256), {}, {&read, {}, {}}));
    expect_same("qcow2", format);
    EXPECT_LE(allocated_, 3u << 20) << format;
    EXPECT_LE(read, 12u << 20) << format << ": what has no data is not read";
  }
}

// The disk's own image between the picture's and a base: what each of them has, zeros over data,
// and nothing of what only the base has.
TEST_F(PictureCopy, WhatIsBasedOnAnotherHasItsOwnAlone) {
  for (const std::uint64_t cluster : {0u, 4096u, 2u << 20}) {
    run({"qemu-img", "create", "-q", "-f", "qcow2", at("base"), "64M"});
    run({"qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 8M", "-c", "write -q -P 2 40M 8M",
         at("base")});
    const auto on = [&](const char* image, const char* below, const std::string& cluster_bytes,
                        std::vector<std::string> commands) {
      run({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", at(below), "-o",
           "cluster_size=" + cluster_bytes, at(image)});
      std::vector<std::string> words{"qemu-io", "-f", "qcow2"};
      for (std::string& command : commands) words.insert(words.end(), {"-c", std::move(command)});
      words.push_back(at(image));
      run(words);
    };
    on("own", "base", std::to_string(cluster == 0 ? 65536 : cluster),
       {"write -q -P 3 1M 100k", "write -q -P 4 20M 2M", "write -q -z 42M 2M",
        "write -q -z 47M 12k", "write -q -P 0 60M 64k"});
    on("disk", "own", "65536", {"write -q -P 1 5M 64k", "write -q -P 4 21M 64k"});
    serve_chain();
    const UniqueFd to(::open(at("copy").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto copied = copy_picture(
        {at("socket"), "vda", "qcow2", mib(64), {cluster}, PictureBase{"base", "qcow2"}}, to.get(),
        {});
    ASSERT_TRUE(copied) << copied.error().text();
    EXPECT_EQ(hash_file(to.get(), "copy", {})->hash, copied->hash);
    expect_same("qcow2", "qcow2");
    struct stat found{};
    EXPECT_EQ(::fstat(to.get(), &found), 0);
    EXPECT_LE(static_cast<std::uint64_t>(found.st_size), (4u << 20) + 10 * cluster)
        << "what only the base has is there once more";
    server_.reset();
    for (const char* file : {"socket", "base", "own", "disk", "copy"}) fs::remove(at(file));
  }
}

TEST_F(PictureCopy, ADiskMayEndWithinACluster) {
  serve("raw", "3146240", {"write -q -P 9 3M 512"});
  ASSERT_TRUE(copy("qcow2", {3146240}));
  expect_same("raw", "qcow2");
}

TEST_F(PictureCopy, ADiskOfAnotherSizeIsRefused) {
  serve("raw", "8M", {});
  EXPECT_EQ(copy("qcow2", mib(9)).error().code, ErrorCode::kConflict);
}

TEST_F(PictureCopy, AServerThatIsGoneIsNamed) {
  serve("raw", "8M", {"write -q -P 1 0 8M"});
  const auto absent = copy_picture({at("socket"), "vdb", "raw", mib(8), {}, {}}, -1, {});
  EXPECT_EQ(absent.error().code, ErrorCode::kUnavailable) << absent.error().text();
  std::once_flag once;
  const auto kill = [&]() -> Status {
    std::call_once(once, [&] { server_.reset(); });
    return {};
  };
  const auto cut = copy("raw", mib(8), {}, {nullptr, kill, {}});
  EXPECT_FALSE(cut);
}

TEST_F(PictureCopy, EndsWhenItIsTold) {
  serve("raw", "8M", {"write -q -P 1 0 8M"});
  const auto told = [] { return fail(ErrorCode::kCancelled, "Enough."); };
  EXPECT_EQ(copy("qcow2", mib(8), {}, {nullptr, told, {}}).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace drover::archive
