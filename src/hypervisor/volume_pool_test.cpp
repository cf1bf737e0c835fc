// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/volume_pool.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

TEST(VolumePool, APartitionHasTheLowestFreeNumber) {
  VolumePool pool{"parts", "disk", "/dev", "/dev/loop7", {}, {}};
  EXPECT_EQ(volume_name(pool, "web", "vda"), "loop7p1");
  pool.volumes = {"loop7p1", "loop7p3"};
  EXPECT_EQ(volume_name(pool, "web", "vda"), "loop7p2");
  pool.device = "/dev/sda";
  EXPECT_EQ(volume_name(pool, "web", "vda"), "sda1");
}

TEST(VolumePool, ALogicalVolumeIsNamedAfterItsVm) {
  const VolumePool pool{"vg", "logical", "/dev/vg", "", {}, {}};
  EXPECT_EQ(volume_name(pool, "web.01", "vda"), "web.01-vda");
  EXPECT_EQ(volume_name(pool, "-my \"wéb\"", "sdb"), "_my__w__b_-sdb");
}

TEST(VolumePool, OnlyWhatOneHostHasIsTaken) {
  EXPECT_TRUE(holds_volumes("logical"));
  EXPECT_TRUE(holds_volumes("disk"));
  for (const char* other : {"iscsi", "scsi", "mpath", "dir", "rbd", ""})
    EXPECT_FALSE(holds_volumes(other)) << other;
}

}  // namespace
}  // namespace drover
