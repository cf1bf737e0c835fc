// SPDX-License-Identifier: Apache-2.0
// Content of images that grow while they are looked at.
#include "mover/image_names.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/deadline.h"
#include "content/content_pair_fixture.h"

namespace drover::mover {
namespace {

using namespace std::chrono_literals;
using content::Bytes;
using content::kBlockBytes;
using content::kTestKey;

// What a read by that content's name gives, once it gives something.
Bytes wait_for(ImageNames& names, std::uint64_t content) {
  Bytes block(kBlockBytes);
  const Deadline limit = Deadline::after(20s);
  while (!names.read(content::name_of_page(content), std::span(block).first<kBlockBytes>())) {
    if (limit.expired()) return {};
    std::this_thread::sleep_for(10ms);
  }
  return block;
}

class GrowingImage {
 public:
  GrowingImage() : file_(::memfd_create("image", MFD_CLOEXEC)) {}

  void write(std::uint64_t block, std::uint64_t content) {
    const Bytes page = content::page_of(content);
    EXPECT_EQ(
        ::pwrite(file_.get(), page.data(), page.size(), static_cast<off_t>(block * kBlockBytes)),
        static_cast<ssize_t>(page.size()));
  }
  ImageNames& names() {
    if (!names_) {
      std::vector<UniqueFd> files;
      files.push_back(UniqueFd(::dup(file_.get())));
      names_ = std::make_unique<ImageNames>(kTestKey, std::move(files));
    }
    return *names_;
  }
  Bytes wait_for(std::uint64_t content) { return mover::wait_for(names(), content); }

 private:
  UniqueFd file_;
  std::unique_ptr<ImageNames> names_;
};

TEST(ImageNames, FindWhatWasWrittenBeforeAndAfterTheyBegan) {
  GrowingImage image;
  image.write(3, 30);
  image.write(900, 31);  // beyond a hole, in another step
  EXPECT_EQ(image.wait_for(30), content::page_of(30));
  EXPECT_EQ(image.wait_for(31), content::page_of(31));
  for (std::uint64_t block = 1000; block < 1100; ++block) image.write(block, block);
  EXPECT_EQ(image.wait_for(1099), content::page_of(1099));
  EXPECT_EQ(image.wait_for(1000), content::page_of(1000));
}

TEST(ImageNames, KnowNothingOfWhatIsInNoImage) {
  GrowingImage image;
  image.write(0, 5);
  EXPECT_EQ(image.wait_for(5), content::page_of(5));
  Bytes block(kBlockBytes);
  EXPECT_FALSE(image.names().read(content::name_of_page(6), std::span(block).first<kBlockBytes>()));
}

// The caller names what it is given, and finds that it is something else.
TEST(ImageNames, GiveWhatIsThereNow) {
  GrowingImage image;
  image.write(0, 5);
  EXPECT_EQ(image.wait_for(5), content::page_of(5));
  image.write(0, 7);
  EXPECT_EQ(image.wait_for(5), content::page_of(7));
}

TEST(ImageNames, TakeAsManyAsAMoverIsGiven) {
  std::vector<UniqueFd> files;
  for (std::uint64_t number = 1; number <= content::kOwnDisksMax; ++number) {
    files.emplace_back(::memfd_create("image", MFD_CLOEXEC));
    const Bytes page = content::page_of(number);
    EXPECT_EQ(::pwrite(files.back().get(), page.data(), page.size(), 0),
              static_cast<ssize_t>(page.size()));
  }
  ImageNames names(kTestKey, std::move(files));
  EXPECT_EQ(wait_for(names, content::kOwnDisksMax), content::page_of(content::kOwnDisksMax))
      << "no image is kept memory";
}

}  // namespace
}  // namespace drover::mover
