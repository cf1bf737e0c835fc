// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/network_image.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace drover {
namespace {

using namespace std::chrono_literals;

TEST(NetworkImage, IsNamedAsQemuNamesIt) {
  EXPECT_EQ(image_options({"iscsi", "10.0.0.9", 3260, "iqn.2026-11.example:vms/1", "6a0e"}),
            "driver=iscsi,transport=tcp,portal=10.0.0.9:3260,target=iqn.2026-11.example:vms,lun=1,"
            "initiator-name=iqn.2008-11.org.linux-kvm:6a0e");
  EXPECT_EQ(image_options({"iscsi", "fd00::9", 3261, "iqn.2026-11.example:vms/0", ""}),
            "driver=iscsi,transport=tcp,portal=[fd00::9]:3261,target=iqn.2026-11.example:vms,lun=0,"
            "initiator-name=iqn.2008-11.org.linux-kvm");
  EXPECT_EQ(image_options({"gluster", "10.0.0.9", 24007, "vms/a,b/web.img", ""}),
            "driver=gluster,volume=vms,path=a,,b/web.img,server.0.type=inet,"
            "server.0.host=10.0.0.9,server.0.port=24007");
  EXPECT_EQ(image_options({"rbd", "10.0.0.9", 6789, "vms/web", "6a0e"}),
            "driver=rbd,pool=vms,image=web,server.0.host=10.0.0.9,server.0.port=6789");
  EXPECT_EQ(image_options({"rbd", "10.0.0.9", 6789, "vms/web", "", "a,b", "bytes"}),
            "driver=rbd,pool=vms,image=web,server.0.host=10.0.0.9,server.0.port=6789,user=a,,b,"
            "key-secret=key,auth-client-required.0=cephx,auth-client-required.1=none");
  EXPECT_EQ(image_options({"iscsi", "10.0.0.9", 3260, "iqn.a/1", "", "a", "bytes"}),
            "driver=iscsi,transport=tcp,portal=10.0.0.9:3260,target=iqn.a,lun=1,"
            "initiator-name=iqn.2008-11.org.linux-kvm,user=a,password-secret=key");
  EXPECT_EQ(image_options({"ssh", "10.0.0.9", 22, "vms/web", ""}), "");
}

TEST(NetworkImage, ThatCannotBeOpenedSaysWhy) {
  auto image = NetworkImage::start({"iscsi", "127.0.0.1", 1, "iqn.2026-11.example:vms/1", ""});
  if (!image) GTEST_SKIP() << image.error().text();  // no user for QEMU here
  const auto folder = image->socket().parent_path();
  EXPECT_TRUE(std::filesystem::exists(folder));
  for (int i = 0; i < 1000 && !image->ended(); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(image->ended());
  EXPECT_TRUE(image->complaint().text().starts_with("qemu-nbd failed."))
      << image->complaint().text();
  {
    const NetworkImage gone = std::move(*image);
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace drover
