// SPDX-License-Identifier: Apache-2.0
// Guest memory that is kept: what is in the file, and what never is.
#include "content/page_keeper.h"

#include <algorithm>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/content_pair_fixture.h"

namespace drover::content {
namespace {

PageKey some_key() {
  PageKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(7 * i + 1);
  return key;
}

class KeptPages : public testing::Test {
 protected:
  std::unique_ptr<PageKeeper> keeper() {
    return std::make_unique<PageKeeper>(file_.duplicate(), some_key());
  }
  Bytes in_file(std::uint64_t page) {
    Bytes bytes(kBlockBytes);
    EXPECT_EQ(
        ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(page * kBlockBytes)),
        static_cast<ssize_t>(bytes.size()));
    return bytes;
  }
  Bytes kept(std::uint64_t page) {
    Bytes bytes = in_file(page);
    PageCipher(some_key(), PageCipher::Does::kDecrypts).apply(page, bytes, bytes);
    return bytes;
  }
  std::uint64_t pages_in_file() {
    struct stat found{};
    ::fstat(file_.get(), &found);
    return static_cast<std::uint64_t>(found.st_size) / kBlockBytes;
  }

  UniqueFd file_{::memfd_create("kept", MFD_CLOEXEC)};
};

TEST_F(KeptPages, AreThoseThatWereSentLastButForThePause) {
  ContentPair pair;
  pair.source->keep_pages(keeper());
  MemoryStream memory({{"pc.ram", 64}, {"vga.vram", 16}});
  memory.part();
  for (const std::uint64_t page : {1, 2, 3}) memory.page("pc.ram", page, page);
  memory.page("vga.vram", 1, 30);
  memory.end_section();
  memory.part();
  memory.page("pc.ram", 2, 22);
  memory.end_section();
  memory.last_part();
  memory.page("pc.ram", 3, 33);
  memory.end_section();
  Carried stream(pair.source, pair.destination, StreamKind::kMemory);
  stream.feed(memory.bytes);
  stream.flush();
  EXPECT_EQ(stream.output, memory.bytes);
  EXPECT_EQ(kept(1), page_of(1));
  EXPECT_EQ(kept(2), page_of(22));
  EXPECT_EQ(kept(3), page_of(3)) << "to write it would have prolonged the pause";
  EXPECT_EQ(kept(64 + 1), page_of(30)) << "each RAM block has its own place";
  EXPECT_EQ(pages_in_file(), 66u);
}

TEST_F(KeptPages, AreNotThereInClear) {
  auto keeping = keeper();
  const Bytes page = page_of(5);
  for (const std::uint64_t number : {3, 4})
    keeping->keep(number, std::span(page).first<kBlockBytes>());
  EXPECT_EQ(kept(3), page);
  EXPECT_EQ(kept(4), page);
  EXPECT_NE(in_file(3), page);
  EXPECT_NE(in_file(3), in_file(4)) << "the same content at two places looks the same";
  // No half of a line of it: XTS works on 16 bytes.
  const Bytes secret = in_file(3);
  for (std::size_t at = 0; at < page.size(); at += 16) {
    EXPECT_FALSE(std::equal(page.begin() + static_cast<std::ptrdiff_t>(at),
                            page.begin() + static_cast<std::ptrdiff_t>(at + 16),
                            secret.begin() + static_cast<std::ptrdiff_t>(at)));
  }
}

// The IEEE's test vector 10 of XTS-AES-256, cut to the first line: with its whole sector of 512
// bytes the first sixteen are the same, for each depends on none before it.
TEST_F(KeptPages, AreEncryptedAsTheStandardSays) {
  const std::uint8_t vector_key[64] = {
      0x27, 0x18, 0x28, 0x18, 0x28, 0x45, 0x90, 0x45, 0x23, 0x53, 0x60, 0x28, 0x74,
      0x71, 0x35, 0x26, 0x62, 0x49, 0x77, 0x57, 0x24, 0x70, 0x93, 0x69, 0x99, 0x59,
      0x57, 0x49, 0x66, 0x96, 0x76, 0x27, 0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97,
      0x93, 0x23, 0x84, 0x62, 0x64, 0x33, 0x83, 0x27, 0x95, 0x02, 0x88, 0x41, 0x97,
      0x16, 0x93, 0x99, 0x37, 0x51, 0x05, 0x82, 0x09, 0x74, 0x94, 0x45, 0x92};
  PageKey key;
  std::ranges::copy(vector_key, key.begin());
  Bytes page(kBlockBytes);
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::uint8_t>(i);
  PageCipher(key, PageCipher::Does::kEncrypts).apply(0xff, page, page);
  const Bytes want{0x1c, 0x3b, 0x3a, 0x10, 0x2f, 0x77, 0x03, 0x86,
                   0xe4, 0x83, 0x6c, 0x99, 0xe3, 0x70, 0xcf, 0x9b};
  EXPECT_TRUE(std::equal(want.begin(), want.end(), page.begin()));
}

TEST_F(KeptPages, ThatCannotBeWrittenEndTheKeepingAlone) {
  const UniqueFd whole(::open("/dev/full", O_RDWR | O_CLOEXEC));
  PageKeeper keeping(whole.duplicate(), some_key());
  const Bytes page = page_of(5);
  keeping.keep(1, std::span(page).first<kBlockBytes>());
  keeping.keep(2, std::span(page).first<kBlockBytes>());
}

}  // namespace
}  // namespace drover::content
