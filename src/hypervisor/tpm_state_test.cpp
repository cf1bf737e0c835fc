// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/tpm_state.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

TEST(TpmState, LiesInOneFile) {
  const fs::path root = fs::temp_directory_path() / ("drover-tpm-" + random_name(8));
  const std::string folder = root / "swtpm";
  EXPECT_EQ(tpm_state_of(folder, "u1"), "");
  const std::string place = tpm_state_place(folder, "u1", "tpm2-00.permall");
  EXPECT_EQ(place, folder + "/u1/tpm2/tpm2-00.permall");
  ASSERT_TRUE(make_tpm_folders(place));
  ASSERT_TRUE(make_tpm_folders(place));
  EXPECT_EQ(tpm_state_of(folder, "u1"), "");
  std::ofstream(place) << "state";
  EXPECT_EQ(tpm_state_of(folder, "u1"), place);
  EXPECT_EQ(fs::status(folder + "/u1").permissions(), fs::perms(0711));
  EXPECT_EQ(fs::status(folder + "/u1/tpm2").permissions(), fs::perms(0700));
  remove_tpm_folders(place);
  EXPECT_TRUE(fs::exists(place));
  fs::remove(place);
  remove_tpm_folders(place);
  EXPECT_FALSE(fs::exists(folder + "/u1"));
  EXPECT_TRUE(fs::exists(folder));
  EXPECT_EQ(tpm_state_place(folder, "u1", "tpm-00.permall"), folder + "/u1/tpm1.2/tpm-00.permall");
  EXPECT_EQ(tpm_state_place(folder, "u1", "../x"), "");
  fs::remove_all(root);
}

TEST(TpmState, OutlivesADefinitionThatSaysSo) {
  const fs::path root = fs::temp_directory_path() / ("drover-tpm-" + random_name(8));
  const std::string folder = root;
  const auto check = [&](const std::string& attributes) {
    return check_state_outlives("<domain><devices><tpm><backend type='emulator'" + attributes +
                                    "/></tpm></devices></domain>",
                                folder, "u1");
  };
  EXPECT_TRUE(check("")) << "there is none";
  const std::string place = tpm_state_place(folder, "u1", "tpm2-00.permall");
  ASSERT_TRUE(make_tpm_folders(place));
  std::ofstream(place) << "state";
  EXPECT_TRUE(check(" persistent_state='yes'"));
  for (const char* lost : {"", " persistent_state='no'"}) {
    const Status status = check(lost);
    ASSERT_FALSE(status) << lost;
    EXPECT_EQ(status.error().code, ErrorCode::kConflict);
    EXPECT_TRUE(status.error().message.contains(place)) << status.error().message;
  }
  EXPECT_FALSE(check_state_outlives("nothing", folder, "u1"));
  fs::remove_all(root);
}

TEST(TpmState, OnlyOfAnEmulatorWithoutSecrets) {
  const auto keeps = [](const std::string& backend) {
    return keeps_tpm_state("<domain><devices><tpm model='tpm-crb'>" + backend +
                           "</tpm></devices></domain>");
  };
  EXPECT_TRUE(keeps("<backend type='emulator' version='2.0'/>"));
  EXPECT_FALSE(keeps("<backend type='emulator'><encryption secret='x'/></backend>"));
  EXPECT_FALSE(keeps("<backend type='emulator'><source type='dir' path='/x'/></backend>"));
  EXPECT_FALSE(keeps("<backend type='passthrough'/>"));
  EXPECT_FALSE(keeps_tpm_state("<domain/>"));
  EXPECT_FALSE(keeps_tpm_state("nothing"));
  const auto name = [](const std::string& backend) {
    return tpm_state_name("<domain><devices><tpm>" + backend + "</tpm></devices></domain>");
  };
  EXPECT_EQ(name("<backend type='emulator' version='2.0'/>"), "tpm2-00.permall");
  EXPECT_EQ(name("<backend type='emulator'/>"), "tpm2-00.permall");
  EXPECT_EQ(name("<backend type='emulator' version='1.2'/>"), "tpm-00.permall");
  EXPECT_EQ(name("<backend type='passthrough'/>"), "");
}

}  // namespace
}  // namespace drover
