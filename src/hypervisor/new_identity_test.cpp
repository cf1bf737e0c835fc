// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/new_identity.h"

#include <gtest/gtest.h>

#include "hypervisor/domain_xml.h"

namespace drover {
namespace {

constexpr const char* kDefinition = R"(<domain type='qemu' id='3'>
  <name>web01</name>
  <uuid>11111111-2222-4333-8444-555555555555</uuid>
  <genid>aaaaaaaa-2222-4333-8444-555555555555</genid>
  <metadata><app:x xmlns:app='http://example.org'>kept</app:x></metadata>
  <memory unit='KiB'>131072</memory>
  <sysinfo type='smbios'><system><entry name='uuid'>11111111-2222-4333-8444-555555555555</entry>
    <entry name='serial'>S1</entry></system></sysinfo>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/images/a.qcow2'/><target dev='vda'/></disk>
    <disk type='file' device='cdrom'><source file='/iso/a.iso'/><target dev='sda'/><readonly/></disk>
    <interface type='bridge'><mac address='00:16:3e:01:02:03'/><source bridge='br0'/></interface>
    <interface type='bridge'><source bridge='br1'/></interface>
    <vsock model='virtio'><cid auto='no' address='42'/></vsock>
  </devices>
</domain>)";

constexpr const char* kUuid = "99999999-2222-4333-8444-555555555555";

TEST(NewIdentity, ACopySharesNothingThatNamesTheFormer) {
  const auto copy = with_identity(kDefinition, "web02", kUuid);
  ASSERT_TRUE(copy) << copy.error().text();
  const auto facts = parse_domain(*copy);
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(facts->vm.name, "web02");
  EXPECT_EQ(facts->vm.uuid, kUuid);
  EXPECT_EQ(copy->find("11111111-2222"), std::string::npos) << *copy;
  EXPECT_EQ(copy->find("aaaaaaaa-2222"), std::string::npos) << *copy;
  EXPECT_EQ(copy->find("01:02:03"), std::string::npos) << *copy;
  EXPECT_EQ(copy->find("'42'"), std::string::npos) << *copy;
  EXPECT_EQ(copy->find("id='3'"), std::string::npos) << *copy;
  ASSERT_EQ(facts->interfaces.size(), 2u);
  EXPECT_TRUE(facts->interfaces[0].mac.starts_with("00:16:3e:"));
  EXPECT_TRUE(facts->interfaces[1].mac.starts_with("52:54:00:"));
}

TEST(NewIdentity, WhatIsNotAnIdentityStays) {
  const auto copy = with_identity(kDefinition, "web02", kUuid);
  ASSERT_TRUE(copy);
  for (const char* kept : {"http://example.org", "S1", "/images/a.qcow2", "br0", "/iso/a.iso"})
    EXPECT_NE(copy->find(kept), std::string::npos) << kept;
}

TEST(NewIdentity, TwoCopiesDiffer) {
  EXPECT_NE(*with_identity(kDefinition, "web02", kUuid),
            *with_identity(kDefinition, "web02", kUuid));
  EXPECT_NE(random_uuid(), random_uuid());
}

TEST(NewIdentity, AUuidIsOfVersionFour) {
  const std::string uuid = random_uuid();
  ASSERT_EQ(uuid.size(), 36u);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
}

TEST(NewIdentity, ADefinitionWithoutAUuidGetsOneAndKeepsTheRest) {
  const auto given = with_uuid("<domain><name>a</name></domain>", kUuid);
  ASSERT_TRUE(given);
  EXPECT_EQ(parse_domain(*given)->vm.uuid, kUuid);
  EXPECT_TRUE(is_uuid(kUuid));
  for (const char* wrong : {"", "99999999", "99999999-2222-4333-8444-55555555555G",
                            "99999999x2222-4333-8444-555555555555"})
    EXPECT_FALSE(is_uuid(wrong)) << wrong;
}

TEST(NewIdentity, MediaAreTakenOutOfTheDrivesNamed) {
  const auto without = without_media(kDefinition, std::vector<std::string>{"sda"});
  ASSERT_TRUE(without) << without.error().text();
  EXPECT_EQ(without->find("/iso/a.iso"), std::string::npos);
  EXPECT_NE(without->find("/images/a.qcow2"), std::string::npos);
  EXPECT_EQ(parse_domain(*without)->disks.size(), 2u);
  EXPECT_EQ(without_media(kDefinition, std::vector<std::string>{"sdx"}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(NewIdentity, NamesThatAreSafeInPaths) {
  for (const char* good : {"web02", "a", "Web-1.2_x+y", "a b", "\u00e4"})
    EXPECT_TRUE(is_vm_name(good)) << good;
  for (const char* bad : {"", ".hidden", "-x", "a/b", "..", "a\nb"})
    EXPECT_FALSE(is_vm_name(bad)) << bad;
  EXPECT_FALSE(is_vm_name(std::string(65, 'a')));
}

TEST(CheckpointWithIdentity, IsOneOfTheNewVm) {
  const std::string before =
      "<domain><name>a</name><uuid>11111111-2222-4333-8444-555555555555</uuid><devices>"
      "<interface><mac address='52:54:00:00:00:01'/></interface><interface><mac "
      "address='52:54:00:00:00:02'/></interface></devices></domain>";
  const std::string uuid = random_uuid();
  const auto now = with_identity(before, "b", uuid);
  ASSERT_TRUE(now);
  const std::string checkpoint =
      "<domainsnapshot><name>clean</name><domain id='3'><name>a</name><uuid>"
      "11111111-2222-4333-8444-555555555555</uuid><sysinfo><system><entry name='uuid'>"
      "11111111-2222-4333-8444-555555555555</entry></system></sysinfo><devices><interface><mac "
      "address='52:54:00:00:00:02'/></interface><interface><mac address='52:54:00:00:00:09'/>"
      "</interface></devices></domain></domainsnapshot>";
  const auto made = checkpoint_with_identity(checkpoint, before, *now);
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->find("11111111-2222"), std::string::npos) << *made;
  EXPECT_NE(made->find("<name>clean</name>"), std::string::npos);
  EXPECT_NE(made->find("<name>b</name>"), std::string::npos);
  EXPECT_EQ(made->find("id='3'"), std::string::npos);
  // The second interface of the VM, wherever it stands in the checkpoint.
  const std::size_t second = now->find("<mac", now->find("<mac") + 1);
  EXPECT_NE(made->find(now->substr(second, 32)), std::string::npos) << *made;
  EXPECT_EQ(made->find("52:54:00:00:00:09"), std::string::npos) << *made;
}

}  // namespace
}  // namespace drover
