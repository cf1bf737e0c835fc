// SPDX-License-Identifier: Apache-2.0
#include "preflight/placement.h"

#include <gtest/gtest.h>

namespace drover::preflight {
namespace {

TEST(PlaceNvram, KeepsThePathInLibvirtsOwnFolder) {
  DomainFacts facts;
  facts.vm.name = "web01";
  EXPECT_EQ(place_nvram(facts, {}), "");
  facts.vm.nvram_path = "/var/lib/libvirt/qemu/nvram/x.fd";
  EXPECT_EQ(place_nvram(facts, {}), "/var/lib/libvirt/qemu/nvram/x.fd");
  facts.vm.nvram_path = "/root/x.fd";
  EXPECT_EQ(place_nvram(facts, {}), "/var/lib/libvirt/qemu/nvram/web01_VARS.fd");
}

TEST(RoomOf, IsTheWholeDiskOfAFullImageAndWhatATableTakes) {
  DiskPlacement placement;
  placement.virtual_size = gib(64);
  placement.allocated = gib(1);
  placement.format = "raw";
  EXPECT_EQ(room_of(placement), gib(1));
  placement.allocation = Allocation::kThin;
  EXPECT_EQ(room_of(placement), gib(1)) << "how much of it is zeroes nobody knows";
  placement.allocation = Allocation::kFull;
  EXPECT_EQ(room_of(placement), gib(64));
  placement.format = "qcow2";
  EXPECT_EQ(room_of(placement), gib(64) + mib(11));
  placement.cluster_size = mib(2);
  EXPECT_LT(room_of(placement), gib(64) + mib(2));
}

TEST(UsableFolders, AreAllowedOnesAndActiveFolderPools) {
  HostFacts host;
  host.pools = {{"a", "dir", "/pool/a", true},
                {"b", "dir", "/pool/b", false},
                {"c", "logical", "/dev/vg", true}};
  HostSettings settings;
  settings.allowed_folders = {"/srv"};
  EXPECT_EQ(usable_folders(host, settings), (std::vector<std::string>{"/srv", "/pool/a"}));
}

}  // namespace
}  // namespace drover::preflight
