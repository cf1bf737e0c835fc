// SPDX-License-Identifier: Apache-2.0
#include "archive/file_copy.h"

#include <filesystem>
#include <fstream>
#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"
#include "base/unique_fd.h"
#include "net/digest.h"

namespace drover::archive {
namespace {

class FileCopy : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  UniqueFd open(const char* name, int flags = O_RDWR | O_CREAT) {
    return UniqueFd(::open((folder_ / name).c_str(), flags | O_CLOEXEC, 0600));
  }
  // Of this size, with random bytes at these places and holes elsewhere.
  UniqueFd make(const char* name, std::uint64_t size,
                const std::vector<std::pair<std::uint64_t, std::size_t>>& data) {
    UniqueFd file = open(name);
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
    for (const auto& [offset, length] : data) {
      std::string bytes(length, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random_());
      EXPECT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
                static_cast<ssize_t>(length));
    }
    return file;
  }
  std::string content(const char* name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::uint64_t allocated(const char* name) {
    struct stat found{};
    ::stat((folder_ / name).c_str(), &found);
    return static_cast<std::uint64_t>(found.st_blocks) * 512;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-copy-" + random_name(8));
  std::minstd_rand random_{7};
};

TEST_F(FileCopy, HoldsTheSameBytesAndAsManyHoles) {
  const std::uint64_t size = (9u << 20) + 777;
  const UniqueFd from =
      make("from", size, {{0, 5000}, {(3u << 20) - 10, 20}, {6u << 20, 2u << 20}, {size - 3, 3}});
  const UniqueFd to = open("to");
  std::atomic<std::uint64_t> read{0};
  const auto copied = copy_file(from.get(), to.get(), "from", {&read, {}, {}});
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(copied->size.bytes, size);
  EXPECT_EQ(content("to"), content("from"));
  EXPECT_LE(allocated("to"), allocated("from") + (16u << 10));
  EXPECT_LT(read, size);
}

TEST_F(FileCopy, TheHashIsThatOfTheDocument) {
  const UniqueFd file = make("file", (2u << 20) + 5, {{1u << 20, 100}});
  const std::string bytes = content("file");
  std::string digests;
  for (std::size_t at = 0; at < bytes.size(); at += kHashPiece) {
    const auto digest = net::sha256(std::string_view(bytes).substr(at, kHashPiece));
    digests.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  const auto hashed = hash_file(file.get(), "file", {});
  ASSERT_TRUE(hashed);
  EXPECT_EQ(hashed->hash, "sha256-mib:" + net::sha256_hex(digests));
  EXPECT_TRUE(is_hash(hashed->hash));
  EXPECT_FALSE(is_hash("sha256:" + net::sha256_hex(digests)));
}

TEST_F(FileCopy, HolesAndZerosHashAlike) {
  const UniqueFd holes = make("holes", 5u << 20, {});
  const UniqueFd zeros = open("zeros");
  const std::string all(5u << 20, '\0');
  ASSERT_EQ(::pwrite(zeros.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  EXPECT_EQ(hash_file(holes.get(), "a", {})->hash, hash_file(zeros.get(), "b", {})->hash);
}

TEST_F(FileCopy, EveryByteCounts) {
  const UniqueFd file = make("file", 3u << 20, {{0, 3u << 20}});
  const auto before = hash_file(file.get(), "file", {});
  for (const off_t at : {0l, (1l << 20) - 1, (3l << 20) - 1}) {
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, at), 1);
    EXPECT_NE(hash_file(file.get(), "file", {})->hash, before->hash) << at;
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, at), 1);
  }
  EXPECT_EQ(hash_file(file.get(), "file", {})->hash, before->hash);
}

TEST_F(FileCopy, AnEmptyFileIsAFile) {
  const UniqueFd from = open("from"), to = open("to");
  const auto copied = copy_file(from.get(), to.get(), "from", {});
  ASSERT_TRUE(copied);
  EXPECT_EQ(copied->size.bytes, 0u);
}

TEST_F(FileCopy, EndsWhenItIsTold) {
  const UniqueFd from = make("from", 64u << 20, {{0, 64u << 20}});
  const UniqueFd to = open("to");
  std::atomic<int> asked{0};
  const auto copied = copy_file(from.get(), to.get(), "from",
                                {nullptr,
                                 [&]() -> Status {
                                   if (++asked > 5) return fail(ErrorCode::kCancelled, "Enough.");
                                   return {};
                                 },
                                 {}});
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, ErrorCode::kCancelled);
}

TEST_F(FileCopy, KeepsToItsBandwidth) {
  const UniqueFd from = make("from", 4u << 20, {{0, 4u << 20}});
  const UniqueFd to = open("to");
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(copy_file(from.get(), to.get(), "from", {nullptr, {}, {8u << 20}}));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(350));
}

// More pieces than are kept at once, and a file that is nearly all hole.
TEST_F(FileCopy, ALongFileTakesNoRoom) {
  constexpr std::uint64_t kPieces = 65536 + 100;
  const UniqueFd file = make("long", kPieces << 20, {{(kPieces - 1) << 20, 1u << 20}});
  std::string last(kHashPiece, '\0');
  ASSERT_EQ(::pread(file.get(), last.data(), last.size(), (kPieces - 1) << 20),
            static_cast<ssize_t>(last.size()));
  const auto zero = net::sha256(std::string(kHashPiece, '\0')), end = net::sha256(last);
  std::string digests;
  for (std::uint64_t i = 0; i < kPieces; ++i) {
    const auto& digest = i + 1 < kPieces ? zero : end;
    digests.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  const auto hashed = hash_file(file.get(), "long", {});
  ASSERT_TRUE(hashed) << hashed.error().text();
  EXPECT_EQ(hashed->hash, "sha256-mib:" + net::sha256_hex(digests));
}

TEST_F(FileCopy, NoImageIsSoLong) {
  const UniqueFd file = open("absurd");
  if (::ftruncate(file.get(), static_cast<off_t>(kFileMost) + 1) != 0)
    GTEST_SKIP() << "this file system has no such long files";
  EXPECT_EQ(hash_file(file.get(), "absurd", {}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FileCopy, ATextHasTheHashOfItsFile) {
  for (const std::size_t size : {0u, 5u, 1u << 20, (1u << 20) + 1}) {
    const UniqueFd file = make("text", 0, {});
    const std::string text(size, 'x');
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    ASSERT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(size));
    EXPECT_EQ(hash_of(text), hash_file(file.get(), "text", {})->hash) << size;
  }
}

TEST_F(FileCopy, OnlyFilesAreCopied) {
  const UniqueFd from(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(hash_file(from.get(), "/dev/zero", {}).error().code, ErrorCode::kConflict);
}

}  // namespace
}  // namespace drover::archive
