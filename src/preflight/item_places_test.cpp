// SPDX-License-Identifier: Apache-2.0
#include "preflight/item_places.h"

#include <gtest/gtest.h>

namespace drover::preflight {
namespace {

DomainFacts vm() {
  const auto facts = parse_domain(
      "<domain type='kvm'><name>web01</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
      "<memory unit='MiB'>512</memory><os><type>hvm</type><nvram>/nv/web01_VARS.fd</nvram></os>"
      "<devices>"
      "<disk type='file' device='disk'><source file='/old/a.img'/><target dev='vda'/></disk>"
      "<disk type='file' device='disk'><source file='/old/b.img'/><target dev='vdb'/></disk>"
      "<disk type='file' device='disk'><source file='/old/c.img'/><target dev='vdc'/><readonly/>"
      "</disk><disk type='file' device='cdrom'><source file='/old/a.iso'/><target dev='sda'/>"
      "<readonly/></disk></devices></domain>");
  EXPECT_TRUE(facts) << facts.error().text();
  return *facts;
}

HostFacts host2() {
  HostFacts host;
  host.name = "host2";
  host.pools = {{"fast", "dir", "/srv/fast", true},
                {"idle", "dir", "/idle", false},
                {"lvm", "logical", "/dev/vg", true},
                {"sleeps", "disk", "/dev", false},
                {"lun", "iscsi", "/dev/disk/by-path", true}};
  return host;
}

MoveRequest items(std::vector<ItemPlace> places) {
  MoveRequest request;
  request.destination = "host2";
  request.items = std::move(places);
  return request;
}

Error refused(std::vector<ItemPlace> places) {
  const auto asked = with_folders(items(std::move(places)), vm(), vm().vm, host2());
  EXPECT_FALSE(asked);
  return asked ? Error{} : asked.error();
}

TEST(ItemPlaces, EachItemGoesToItsOwnAndItsLayersGoAlong) {
  MoveRequest request = items({{"vdb", "fast"}, {"nvram", "/srv/nv/"}});
  request.disks_to = "fast";
  const auto asked = with_folders(request, vm(), vm().vm, host2());
  ASSERT_TRUE(asked) << asked.error().text();
  EXPECT_EQ(asked->disks_to, "/srv/fast") << "a pool is its folder";
  std::vector<DiskPlacement> placements(2);
  placements[0].target = "vda";
  placements[0].destination_path = "/somewhere/a.img";
  placements[1].target = "vdb";
  placements[1].source_path = "/old/b.img";
  std::vector<FilePlacement> files(1);
  files[0].item = "vdb";
  files[0].source_path = "/old/base.img";
  std::string nvram = "/nv/web01_VARS.fd";
  place_items(*asked, placements, files, nvram);
  EXPECT_EQ(placements[0].destination_path, "/somewhere/a.img");
  EXPECT_EQ(placements[1].destination_path, "/srv/fast/b.img");
  EXPECT_EQ(files[0].destination_path, "/srv/fast/base.img");
  EXPECT_EQ(nvram, "/srv/nv/web01_VARS.fd");
  EXPECT_EQ(misplaced_item(request, host2(), placements, files, nvram), "");
  placements[1].destination_path = "/old/b.img";
  EXPECT_EQ(misplaced_item(request, host2(), placements, files, nvram), "vdb")
      << "a host that knows nothing of items left it where it was";
}

TEST(ItemPlaces, AVolumeLiesInTheFolderOfItsPool) {
  std::vector<DiskPlacement> placements(1);
  placements[0].target = "vda";
  placements[0].source_path = "/old/a.img";
  placements[0].destination_path = "/dev/vg/web01-vda";
  EXPECT_EQ(misplaced_item(items({{"vda", "lvm"}}), host2(), placements, {}, ""), "");
  placements[0].destination_path = "/dev/other/web01-vda";
  EXPECT_EQ(misplaced_item(items({{"vda", "lvm"}}), host2(), placements, {}, ""), "vda");
}

TEST(ItemPlaces, ADiscThatTravelsIsAFile) {
  EXPECT_NE(refused({{"sda", "fast"}}).message.find("no item sda"), std::string::npos);
  MoveRequest request = items({{"sda", "fast"}});
  request.media = Media::kCopy;
  const auto asked = with_folders(request, vm(), vm().vm, host2());
  ASSERT_TRUE(asked) << asked.error().text();
  std::vector<DiskPlacement> placements;
  std::vector<FilePlacement> files(1);
  files[0].item = "sda";
  files[0].source_path = "/old/a.iso";
  std::string nvram;
  place_items(*asked, placements, files, nvram);
  EXPECT_EQ(files[0].destination_path, "/srv/fast/a.iso");
  EXPECT_EQ(misplaced_item(request, host2(), placements, files, nvram), "");
  request.items[0].place = "lvm";
  EXPECT_EQ(with_folders(request, vm(), vm().vm, host2()).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(ItemPlaces, RequestsThatMakeNoSenseAreRefused) {
  EXPECT_NE(refused({{"vda", "fast"}, {"vda", "/srv"}}).message.find("twice"), std::string::npos);
  EXPECT_NE(refused({{"vdz", "fast"}}).message.find("vda, vdb, nvram"), std::string::npos);
  EXPECT_NE(refused({{"vdc", "fast"}}).message.find("vdc"), std::string::npos)
      << "a read-only disk is not copied";
  EXPECT_EQ(refused({{"vda", "nowhere"}}).code, ErrorCode::kNotFound);
  EXPECT_EQ(refused({{"vda", "idle"}}).code, ErrorCode::kConflict);
  EXPECT_EQ(refused({{"vda", "lun"}}).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({{"nvram", "lvm"}}).code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused({{"vda", "sleeps"}}).message.find("pool-start"), std::string::npos);
}

}  // namespace
}  // namespace drover::preflight
