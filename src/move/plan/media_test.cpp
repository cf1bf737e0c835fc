// SPDX-License-Identifier: Apache-2.0
#include "move/plan/media.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

std::string definition(const std::string& source) {
  return "<domain type='kvm'><name>web</name><uuid>6a0e9c1e-5f5c-4a63-9a1e-1f2d3c4b5a69</uuid>"
         "<devices><disk type='file' device='disk'><source file='/a.qcow2'/><target dev='vda'/>"
         "</disk><disk type='file' device='cdrom'>" +
         source + "<target dev='sda'/><readonly/></disk></devices></domain>";
}

preflight::SourceView view_of(std::optional<Media> media) {
  preflight::SourceView view;
  view.vm.name = "web";
  view.vm.state = VmState::kRunning;
  view.request.destination = "host2";
  view.request.media = media;
  view.live_xml = definition("<source file='/iso/a.iso'/>");
  view.persistent_xml = definition("<source file='/iso/b.iso'/>");
  return view;
}

TEST(Media, EjectedOnesAreInNoDefinitionThatTravelsAndAreTold) {
  auto view = view_of(Media::kEject);
  std::vector<Finding> findings;
  ASSERT_TRUE(take_media_out(view, findings));
  EXPECT_FALSE(view.live_xml.contains(".iso")) << view.live_xml;
  EXPECT_FALSE(view.persistent_xml.contains(".iso"));
  EXPECT_TRUE(view.live_xml.contains("/a.qcow2"));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "MEDIA_EJECTED");
  EXPECT_EQ(findings[0].object, "sda");
  EXPECT_EQ(findings[0].level, FindingLevel::kNote);
}

TEST(Media, NothingIsTakenOutUnlessItIsAskedFor) {
  for (const auto media : {std::optional<Media>(), std::optional(Media::kRequire)}) {
    auto view = view_of(media);
    const std::string before = view.live_xml;
    std::vector<Finding> findings;
    ASSERT_TRUE(take_media_out(view, findings));
    EXPECT_EQ(view.live_xml, before);
    EXPECT_TRUE(findings.empty());
  }
}

TEST(Media, WhatIsRequiredAndNotShownToBeTheSameIsABlocker) {
  MoveRequest request;
  const std::vector<Finding> found{
      {"MEDIA_INSERTED", FindingLevel::kWarning, "sda", "", "", {}, false},
      {"MEDIA_INSERTED", FindingLevel::kNote, "sdb", "", "", {}, false},
      {"CPU_UNKNOWN", FindingLevel::kWarning, "web", "", "", {}, false}};
  auto findings = found;
  require_media(request, findings);
  EXPECT_EQ(findings[0].level, FindingLevel::kWarning);
  request.media = Media::kRequire;
  require_media(request, findings);
  EXPECT_EQ(findings[0].level, FindingLevel::kBlocker);
  EXPECT_EQ(findings[1].level, FindingLevel::kNote) << "it is the same";
  EXPECT_EQ(findings[2].level, FindingLevel::kWarning);
}

TEST(Media, OnlyFilesInDrivesAreDiscs) {
  Vm vm;
  Disk disk;
  disk.target = "vda";
  disk.path = "/a.qcow2";
  vm.disks.push_back(disk);
  disk.device = DiskDevice::kCdrom;
  disk.target = "sda";
  disk.path = "";
  vm.disks.push_back(disk);
  disk.path = "/iso/a.iso";
  vm.disks.push_back(disk);
  disk.kind = DiskKind::kBlock;
  vm.disks.push_back(disk);
  ASSERT_EQ(media_in(vm).size(), 1u);
  EXPECT_EQ(media_in(vm)[0].path, "/iso/a.iso");
}

}  // namespace
}  // namespace drover::move
