// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/session_vms.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

class SessionVms : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_ / "run"); }
  void TearDown() override { fs::remove_all(root_); }
  void put(const fs::path& file) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << "<domain/>";
  }
  void users(const std::string& text) { std::ofstream(root_ / "passwd") << text; }
  std::string home(const char* name) { return (root_ / name).string(); }
  std::vector<SessionVm> look() { return session_vms(root_ / "passwd", root_ / "run"); }

  const fs::path root_ = fs::temp_directory_path() / ("drover-session-" + random_name(8));
};

TEST_F(SessionVms, AreFoundDefinedAndRunning) {
  users("alice:x:1000:1000::" + home("alice") + ":/bin/sh\nbob:x:1001:1001::" + home("bob") +
        ":/bin/sh\n");
  put("alice/.config/libvirt/qemu/dev.xml");
  put("alice/.config/libvirt/qemu/networks/default.xml");
  put("run/1000/libvirt/qemu/run/dev.xml");
  put("run/1001/libvirt/qemu/run/temp.xml");
  put("bob/.config/libvirt/qemu/notes.txt");
  const auto found = look();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "dev");
  EXPECT_EQ(found[0].user, "alice");
  EXPECT_TRUE(found[0].running);
  EXPECT_EQ(found[1].name, "temp");
  EXPECT_EQ(found[1].user, "bob");
}

TEST_F(SessionVms, OfProgramsAndBrokenLinesAreNone) {
  users("daemon:x:1:1::" + home("alice") + ":/bin/false\nnobody:x:65534:65534::" + home("alice") +
        ":/bin/false\nshort:x:1000\nx:x:many:1::" + home("alice") +
        ":/bin/sh\nrel:x:1002:1::home:/bin/sh\n");
  put("alice/.config/libvirt/qemu/dev.xml");
  EXPECT_TRUE(look().empty());
  EXPECT_TRUE(session_vms(root_ / "absent", root_ / "run").empty());
}

}  // namespace
}  // namespace drover
