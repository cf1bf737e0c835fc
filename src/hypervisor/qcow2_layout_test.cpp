// SPDX-License-Identifier: Apache-2.0
// Images that are written by their layout, as qemu-img sees them.
#include "hypervisor/qcow2_layout.h"

#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "hypervisor/program.h"

namespace drover {
namespace {

namespace fs = std::filesystem;
using Part = Qcow2Layout::Part;

class Layout : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "drover-layout-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(root_); }

  // A disk that has random bytes in these ranges.
  std::string make_disk(std::uint64_t bytes, const std::vector<ByteRange>& data) {
    std::string disk(bytes, '\0');
    for (const ByteRange& range : data) {
      for (std::uint64_t i = 0; i < range.length; ++i)
        disk[range.offset + i] = static_cast<char>(random_());
    }
    return disk;
  }
  // In steps that end anywhere.
  static std::string image_of(const Qcow2Layout& layout, const std::string& disk,
                              std::uint64_t step) {
    std::string image;
    while (image.size() < layout.file_bytes()) {
      const std::uint64_t at = image.size(), length = std::min(step, layout.file_bytes() - at);
      for (const Part& part : layout.parts({at, length})) {
        if (part.kind == Part::Kind::kTables) {
          std::string tables(part.length, 'x');
          layout.write_tables(part.from, tables);
          image += tables;
        } else if (part.kind == Part::Kind::kDisk) {
          image += disk.substr(part.from, part.length);
        } else {
          image.append(part.length, '\0');
        }
      }
      EXPECT_EQ(image.size(), at + length);
    }
    return image;
  }
  std::string write(const char* name, const std::string& bytes) {
    std::ofstream(root_ / name, std::ios::binary) << bytes;
    return root_ / name;
  }
  void expect_right(std::uint64_t bytes, std::uint64_t cluster, const std::vector<ByteRange>& data,
                    std::uint64_t step = 1u << 20) {
    const auto layout = Qcow2Layout::make({bytes}, {cluster}, data);
    ASSERT_TRUE(layout) << layout.error().text();
    const std::string disk = make_disk(bytes, data);
    const std::string image = write("image", image_of(*layout, disk, step));
    const std::string raw = write("raw", disk);
    const auto checked = run_program({.arguments = {"qemu-img", "check", "-f", "qcow2", image}});
    EXPECT_TRUE(checked) << checked.error().text();
    EXPECT_TRUE(run_program(
        {.arguments = {"qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, raw}}));
  }

  fs::path root_;
  std::minstd_rand random_{7};
};

TEST_F(Layout, QemuReadsWhatTheDiskHas) {
  for (const std::uint64_t cluster : {0u, 512u, 4096u, 65536u, 2u << 20}) {
    expect_right(24u << 20, cluster, {{0, 512}, {1u << 20, 3u << 20}, {(9u << 20) + 1024, 65536}});
  }
}

TEST_F(Layout, PartsMayEndAnywhere) {
  for (const std::uint64_t step : {512u, 65536u, (1u << 20) + 512, 64u << 20})
    expect_right(16u << 20, 65536, {{65536, 65536}, {200704, 4096}, {5u << 20, 2u << 20}}, step);
}

TEST_F(Layout, ADiskMayEndWithinACluster) {
  expect_right((5u << 20) + 512, 65536, {{(4u << 20), (1u << 20) + 512}});
  expect_right(1536, 2u << 20, {{0, 1536}});
}

TEST_F(Layout, ADiskMayBeEmptyOrFull) {
  expect_right(8u << 20, 65536, {});
  expect_right(8u << 20, 65536, {{0, 8u << 20}});
}

// Ranges that share a cluster, which the image has once.
TEST_F(Layout, AClusterIsThereOnce) {
  const std::vector<ByteRange> data{{0, 512}, {1024, 512}, {65024, 1024}, {131072, 512}};
  expect_right(8u << 20, 65536, data);
  const auto layout = Qcow2Layout::make({8u << 20}, {65536}, data);
  std::uint64_t of_disk = 0;
  for (const Part& part : layout->parts({0, layout->file_bytes()})) {
    if (part.kind == Part::Kind::kDisk) of_disk += part.length;
  }
  EXPECT_EQ(of_disk, 3u * 65536);
}

// More clusters than one block of references tells of, and tables of the second level that are not
// there between others that are.
TEST_F(Layout, TablesGrowWithTheDisk) {
  std::vector<ByteRange> data;
  for (std::uint64_t at = 0; at < 6u << 20; at += 2048) data.push_back({at, 512});
  data.push_back({20u << 20, 1u << 20});
  expect_right(32u << 20, 512, data);
}

TEST_F(Layout, ADiskOfManyTerabytesHasAShortImage) {
  const std::uint64_t bytes = std::uint64_t{32} << 40;
  const auto layout =
      Qcow2Layout::make({bytes}, {65536}, std::vector<ByteRange>{{bytes - 512, 512}});
  ASSERT_TRUE(layout) << layout.error().text();
  EXPECT_LT(layout->file_bytes(), 2u << 20);
  EXPECT_EQ(Qcow2Layout::make({bytes}, {512}, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Layout, WhatIsNoDiskIsRefused) {
  const auto code = [](std::uint64_t bytes, std::uint64_t cluster, std::vector<ByteRange> data) {
    return Qcow2Layout::make({bytes}, {cluster}, data).error().code;
  };
  for (const std::uint64_t cluster : {256u, 3000u, 4u << 20})
    EXPECT_EQ(code(1u << 20, cluster, {}), ErrorCode::kInvalidArgument) << cluster;
  EXPECT_EQ(code(100, 65536, {}), ErrorCode::kInvalidArgument);
  for (const ByteRange beyond : {ByteRange{1u << 20, 512}, {0, (1u << 20) + 512}, {~0ull, 512}})
    EXPECT_EQ(code(1u << 20, 65536, {beyond}), ErrorCode::kInvalidArgument) << beyond.offset;
  EXPECT_EQ(code(1u << 20, 65536, {{65536, 65536}, {0, 512}}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover
