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
