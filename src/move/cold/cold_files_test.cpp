// SPDX-License-Identifier: Apache-2.0
#include "move/cold/cold_files.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace drover::move {
namespace {

TEST(ColdFiles, WhatIsNotWholeAndWhatCannotBeSeenAreTwoThings) {
  const auto folder = std::filesystem::temp_directory_path() / ("drover-cold-" + random_name(8));
  std::filesystem::create_directory(folder);
  EXPECT_FALSE(*is_whole_state((folder / "none").string()));
  EXPECT_FALSE(is_whole_state(folder.string())) << "a folder cannot be read";
  std::ofstream(folder / "begun") << "LibvirtQemudPart";
  EXPECT_FALSE(*is_whole_state((folder / "begun").string()));
  std::ofstream(folder / "other") << std::string(200, 'x');
  EXPECT_FALSE(is_whole_state((folder / "other").string())) << "another form, but something";
  std::filesystem::remove_all(folder);
}

TEST(ColdFiles, MemoryNeedsRoom) {
  EXPECT_FALSE(state_short("/", "host1", "web01", {}));
  const auto shortage = state_short("/", "host1", "web01", gib(1ull << 30));
  ASSERT_TRUE(shortage);
  EXPECT_EQ(shortage->code, "SPACE_SHORT");
  EXPECT_EQ(shortage->level, FindingLevel::kBlocker);
}

TEST(ColdFiles, TheHeadOfASavedStateIsAsLongAsItSays) {
  std::string head(kStateHeadLeast, '\0');
  EXPECT_EQ(state_head_bytes(head.substr(1)).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor);
  head.replace(0, 16, "LibvirtQemudPart");
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor) << "no definition";
  head[21] = 1;
  EXPECT_EQ(*state_head_bytes(head), kStateHeadLeast + 256);
  head[23] = 1;
  EXPECT_EQ(state_head_bytes(head).error().code, ErrorCode::kHypervisor) << "too long";
}

}  // namespace
}  // namespace drover::move
