// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/random.h"
#include "move/destination/file_sink.h"
#include "move/file_sender.h"
#include "move/move_test_support.h"
#include "net/digest.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class FileStream : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("drover-file-" + random_name(8));
    fs::create_directory(folder_);
    listener_ = *net::listen_unix(folder_ / "mem", net::SocketKind::kStream, 0600);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const char* name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary | std::ios::app) << content;
    return folder_ / name;
  }
  std::string read(const char* name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  UniqueFd open(const fs::path& path, int flags) {
    return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  }
  std::unique_ptr<FileSender> send(const fs::path& path, FileSender::Part part = {}) {
    return std::make_unique<FileSender>(open(path, O_RDONLY), part, folder_ / "mem");
  }
  // What a mover would do between: all bytes, then the end, both ways.
  static void carry(int from, int to) {
    char bytes[4096];
    ssize_t n = 0;
    while ((n = ::recv(from, bytes, sizeof bytes, 0)) > 0)
      ASSERT_EQ(::send(to, bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL), n);
    ::shutdown(to, SHUT_WR);
    while (::recv(to, bytes, sizeof bytes, 0) > 0) continue;
    ::shutdown(from, SHUT_RDWR);
  }
  // Likewise, with an end that takes no more: the rest is thrown away, and the source hears the
  // end.
  static void break_off_when_refused(int from, int to) {
    char bytes[4096];
    ssize_t n = 0;
    while ((n = ::recv(from, bytes, sizeof bytes, 0)) > 0)
      if (::send(to, bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
    ::shutdown(to, SHUT_WR);
    while (::recv(to, bytes, sizeof bytes, 0) > 0) continue;
    ::shutdown(from, SHUT_RDWR);
  }
  static Status wait(const FileSender& sender) {
    for (int i = 0; i < 1000 && !sender.ended(); ++i) std::this_thread::sleep_for(10ms);
    return sender.ended() ? sender.result() : fail(ErrorCode::kTimeout, "It does not end.");
  }
  UniqueFd accept() { return *net::accept_one(listener_.get(), Deadline::after(5s)); }

  fs::path folder_;
  UniqueFd listener_;
};

TEST_F(FileStream, AHeadAndARestComeIntoOneFile) {
  const std::string head(100, 'h'), rest(3 << 20, 'r');
  const fs::path path = write("a", head + rest);
  const UniqueFd file = open(folder_ / "b", O_WRONLY | O_CREAT);
  std::vector<FileSink::Slot> slots;
  slots.push_back({"head", file.duplicate(), kib(1)});
  slots.push_back({"rest", file.duplicate(), mib(4), FileSink::Slot::Kind::kHashedPart, {}});
  FileSink sink(std::move(slots));
  EXPECT_FALSE(sink.complete());
  for (const auto part : {FileSender::Part{0, 100}, FileSender::Part{100, {}}}) {
    const auto sender = send(path, part);
    sender->finish();
    const UniqueFd source = accept();
    const auto destination = sink.open_next();
    ASSERT_TRUE(destination) << destination.error().text();
    EXPECT_EQ(sink.open_next().error().code, ErrorCode::kConflict) << "one after the other";
    carry(source.get(), destination->get());
    EXPECT_TRUE(wait(*sender));
  }
  EXPECT_TRUE(sink.complete());
  EXPECT_EQ(read("b"), head + rest);
  EXPECT_EQ(sink.sha256(0), "") << "nobody wants it";
  EXPECT_EQ(sink.sha256(1), net::sha256_hex(rest));
  EXPECT_EQ(sink.open_next().error().code, ErrorCode::kConflict) << "no more was agreed";
}

TEST_F(FileStream, AFileThatGrowsIsSentToItsEnd) {
  const fs::path path = write("a", "one ");
  const auto sender = send(path);
  const UniqueFd source = accept();
  char bytes[16] = {};
  ASSERT_EQ(::recv(source.get(), bytes, sizeof bytes, 0), 4);
  write("a", "two");
  ASSERT_EQ(::recv(source.get(), bytes, sizeof bytes, 0), 3);
  EXPECT_FALSE(sender->ended());
  sender->finish();
  EXPECT_EQ(::recv(source.get(), bytes, sizeof bytes, 0), 0);
  EXPECT_FALSE(sender->ended()) << "the other side has not said that it has all";
  ::shutdown(source.get(), SHUT_RDWR);
  EXPECT_TRUE(wait(*sender));
  EXPECT_EQ(sender->sent(), 7u);
}

TEST_F(FileStream, AWholeFileIsHashedAndItsZeroesTakeNoRoom) {
  const std::string content = std::string(100'000, 'x') + std::string(6 << 20, '\0') +
                              std::string(5000, 'y') + std::string(300'000, '\0');
  const fs::path path = write("a", content);
  std::vector<FileSink::Slot> slots;
  slots.push_back(
      {"it", open(folder_ / "b", O_WRONLY | O_CREAT), mib(8), FileSink::Slot::Kind::kWhole});
  FileSink sink(std::move(slots));
  const auto sender = send(path, {0, content.size(), true});
  const UniqueFd source = accept();
  const auto destination = sink.open_next();
  ASSERT_TRUE(destination);
  carry(source.get(), destination->get());
  ASSERT_TRUE(wait(*sender));
  ASSERT_TRUE(sink.complete());
  EXPECT_EQ(read("b"), content);
  EXPECT_EQ(sender->sha256(), net::sha256_hex(content));
  EXPECT_EQ(sink.sha256(0), sender->sha256());
  struct stat found{};
  ASSERT_EQ(::stat((folder_ / "b").c_str(), &found), 0);
  EXPECT_LT(found.st_blocks * 512, 1 << 20);
}

TEST_F(FileStream, TooMuchIsRefused) {
  std::vector<FileSink::Slot> slots;
  slots.push_back({"it", open(folder_ / "b", O_WRONLY | O_CREAT), {4}});
  FileSink sink(std::move(slots));
  const auto destination = sink.open_next();
  ASSERT_TRUE(destination);
  ASSERT_EQ(::send(destination->get(), "12345", 5, MSG_NOSIGNAL), 5);
  char byte = 0;
  EXPECT_EQ(::recv(destination->get(), &byte, 1, 0), 0);
  EXPECT_EQ(sink.complete().error().code, ErrorCode::kProtocol);
}

// Whatever its source does when it is asked to wait.
TEST_F(FileStream, WhatShallStayFreeStaysFree) {
  using Kind = FileSink::Slot::Kind;
  for (const Kind kind : {Kind::kPart, Kind::kWhole}) {
    std::vector<FileSink::Slot> slots;
    slots.push_back(
        {"it", open(folder_ / "c", O_WRONLY | O_CREAT | O_TRUNC), {9}, kind, "/images/c"});
    FileSink sink(std::move(slots), [] { return gib(1 << 30); });
    const auto destination = sink.open_next();
    ASSERT_TRUE(destination);
    ASSERT_EQ(::send(destination->get(), "12345", 5, MSG_NOSIGNAL), 5);
    ::shutdown(destination->get(), SHUT_WR);
    char byte = 0;
    EXPECT_EQ(::recv(destination->get(), &byte, 1, 0), 0);
    const Error said = sink.complete().error();
    EXPECT_EQ(said.code, ErrorCode::kNoSpace);
    EXPECT_TRUE(said.text().contains("/images/c")) << said.text();
    EXPECT_EQ(read("c"), "");
  }
}

// A setting that is changed in the middle of a copy counts from then on.
TEST_F(FileStream, WhatShallStayFreeMayChangeMeanwhile) {
  std::vector<FileSink::Slot> slots;
  slots.push_back({"it", open(folder_ / "c", O_WRONLY | O_CREAT), mib(4)});
  std::atomic<std::uint64_t> least = 0;
  FileSink sink(std::move(slots), [&] { return ByteCount{least}; });
  const auto destination = sink.open_next();
  ASSERT_TRUE(destination);
  ASSERT_EQ(::send(destination->get(), "1234", 4, MSG_NOSIGNAL), 4);
  for (int i = 0; i < 1000 && read("c") != "1234"; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(read("c"), "1234");
  least = gib(1 << 30).bytes;
  ASSERT_EQ(::send(destination->get(), "5678", 4, MSG_NOSIGNAL), 4);
  char byte = 0;
  EXPECT_EQ(::recv(destination->get(), &byte, 1, 0), 0) << "its end is closed";
  EXPECT_EQ(sink.complete().error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(read("c"), "1234");
}

TEST_F(FileStream, TooMuchOfAWholeFileIsRefused) {
  std::vector<FileSink::Slot> slots;
  slots.push_back(
      {"it", open(folder_ / "b", O_WRONLY | O_CREAT), {4}, FileSink::Slot::Kind::kWhole});
  FileSink sink(std::move(slots));
  const auto destination = sink.open_next();
  ASSERT_TRUE(destination);
  ASSERT_EQ(::send(destination->get(), "12345", 5, MSG_NOSIGNAL), 5);
  ::shutdown(destination->get(), SHUT_WR);
  char byte = 0;
  EXPECT_EQ(::recv(destination->get(), &byte, 1, 0), 0);
  EXPECT_EQ(sink.complete().error().code, ErrorCode::kProtocol);
  EXPECT_EQ(sink.sha256(0), "");
}

// The source asks for this: what it sees itself is only that not all of it has come.
TEST_F(FileStream, AFullDiskIsNamedByItsPath) {
  for (const auto kind : {FileSink::Slot::Kind::kPart, FileSink::Slot::Kind::kHashedPart,
                          FileSink::Slot::Kind::kWhole}) {
    std::vector<FileSink::Slot> slots;
    slots.push_back({"it", open("/dev/full", O_WRONLY), mib(4), kind, "/srv/images/web01.qcow2"});
    FileSink sink(std::move(slots));
    EXPECT_FALSE(sink.failure());
    const auto sender = send(write("a", std::string(2 << 20, 'x')), {0, 2 << 20, true});
    const UniqueFd source = accept();
    const auto destination = sink.open_next();
    ASSERT_TRUE(destination);
    break_off_when_refused(source.get(), destination->get());
    (void)wait(*sender);
    const auto failure = sink.failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, ErrorCode::kNoSpace);
    EXPECT_TRUE(failure->text().contains("/srv/images/web01.qcow2")) << failure->text();
    EXPECT_TRUE(failure->text().contains("No space left on device")) << failure->text();
    EXPECT_EQ(sink.complete().error().code, ErrorCode::kNoSpace);
    EXPECT_EQ(sink.open_next().error().code, ErrorCode::kNoSpace) << "no more is taken";
  }
}

// What the file system gives before it gives no more is not taken for the whole.
TEST_F(FileStream, AWriteThatFailsInTheMiddleIsNamedToo) {
  const fs::path path = write("a", std::string(2 << 20, 'x'));
  const NoFileGrowsBeyond limit(mib(1));
  std::vector<FileSink::Slot> slots;
  slots.push_back({"it", open(folder_ / "b", O_WRONLY | O_CREAT), mib(4),
                   FileSink::Slot::Kind::kWhole, (folder_ / "b").string()});
  FileSink sink(std::move(slots));
  const auto sender = send(path, {0, 2 << 20, true});
  const UniqueFd source = accept();
  const auto destination = sink.open_next();
  ASSERT_TRUE(destination);
  break_off_when_refused(source.get(), destination->get());
  (void)wait(*sender);
  ASSERT_TRUE(sink.failure());
  EXPECT_EQ(sink.failure()->code, ErrorCode::kSystem);
  EXPECT_TRUE(sink.failure()->text().contains((folder_ / "b").string()));
  EXPECT_EQ(sink.sha256(0), "");
}

TEST_F(FileStream, IsBrokenOffByItsEnd) {
  const fs::path path = write("a", std::string(8 << 20, 'x'));
  auto sender = send(path);
  const UniqueFd source = accept();  // takes nothing
  const auto began = std::chrono::steady_clock::now();
  sender.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
}

TEST_F(FileStream, WithoutAMoverItSaysSo) {
  listener_.reset();
  fs::remove(folder_ / "mem");
  const auto sender = send(write("a", "x"));
  EXPECT_FALSE(wait(*sender));
}

}  // namespace
}  // namespace drover::move
