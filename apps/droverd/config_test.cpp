// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"

namespace drover::droverd {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  Result<Config> read(std::string_view text) {
    EXPECT_TRUE(write_file_durably(path_, text, 0600));
    return read_config(path_, true);
  }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("drover-config-" + random_name(8));
};

TEST_F(ConfigTest, IsSaneWithNoFileAtAll) {
  const auto config = read_config("/nonexistent/droverd.toml", false);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->api_port, 7430);
  EXPECT_FALSE(config->name.empty());
  EXPECT_EQ(read_config("/nonexistent/droverd.toml", true).error().code, ErrorCode::kNotFound);
}

TEST_F(ConfigTest, ReadsWhatIsSet) {
  const auto config = read(
      "name = \"a\"\napi-port = 17430\npatience-ms = 5000\nkeep-residue = \"disks\"\nlog-level = "
      "\"debug\"\n");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->name, "a");
  EXPECT_EQ(config->api_port, 17430);
  EXPECT_EQ(config->patience.count(), 5000);
  EXPECT_TRUE(config->keep_residue_disks);
  EXPECT_EQ(config->log_level, log::Level::kDebug);
}

TEST_F(ConfigTest, NamesTheLineOfWhatIsWrong) {
  for (const auto* text : {"\nnmae = \"a\"", "\napi-port = 0", "\napi-port = \"x\"",
                           "\nname =", "\npatience-ms = -1", "\nkeep-residue = \"memory\""}) {
    const auto config = read(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find("line 2"), std::string::npos) << config.error().message;
  }
}

}  // namespace
}  // namespace drover::droverd
