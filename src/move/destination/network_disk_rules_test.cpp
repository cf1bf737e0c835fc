// SPDX-License-Identifier: Apache-2.0
#include "move/destination/network_disk_rules.h"

#include <gtest/gtest.h>

#include "move/plan/network_disks.h"

namespace drover::move {
namespace {

std::string disk(const std::string& host, const std::string& name, const std::string& target) {
  return "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source "
         "protocol='nbd' name='" +
         name + "'>" + host + "</source><target dev='" + target + "'/></disk>";
}

std::string domain(const std::string& disks) {
  return "<domain type='kvm'><name>a</name><uuid>6a0e9c1e-5f5c-4a63-9a1e-1f2d3c4b5a69</uuid>"
         "<devices>" +
         disks + "</devices></domain>";
}

DiskPlacement placed(const std::string& target, bool shared) {
  DiskPlacement placement;
  placement.target = target;
  placement.destination_path = "nbd://10.0.0.9:10809/web";
  placement.shared = shared;
  return placement;
}

TEST(NetworkDiskRules, AdmitWhatThePlanProvesAndTheAdministratorAllows) {
  const std::string s = "<host name='storage1'/>";
  const std::string xml =
      domain(disk(s, "web", "vda") + disk(s, "other", "vdb") + disk(s, "unproven", "vdc") +
             disk("<host name='s2'/>", "x", "vdd"));
  const std::vector<DiskPlacement> placements{placed("vda", true), placed("vdc", false),
                                              placed("vdd", true)};
  EXPECT_EQ(proven_network_disks(xml, placements, std::vector<std::string>{"nbd://storage1"}),
            std::vector<std::string>{"nbd://storage1:10809/web"});
}

TEST(NetworkDiskRules, AdmitAProvenDiskByEachOfItsServersForItsUser) {
  const auto rbd = [](const std::string& target) {
    return "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source "
           "protocol='rbd' name='pool/" +
           target +
           "'><host name='m1'/><host name='m2'/></source><auth username='a'><secret type='ceph' "
           "uuid='u'/></auth><target dev='" +
           target + "'/></disk>";
  };
  EXPECT_EQ(proven_network_disks(domain(rbd("vda") + rbd("vdb")),
                                 std::vector<DiskPlacement>{placed("vda", true)},
                                 std::vector<std::string>{"rbd://m1", "rbd://m2"}),
            (std::vector<std::string>{"rbd://m1:6789/pool/vda\na\nuuid u",
                                      "rbd://m2:6789/pool/vda\na\nuuid u"}));
}

TEST(NetworkDiskRules, AnAddressThatBothHostsHaveIsNoServerOfBoth) {
  HostFacts one, other;
  one.networks.addresses = {
      {"10.0.0.1", 24, "eth0"}, {"192.168.122.1", 24, "virbr0"}, {"fd00::1", 64, "br0"}};
  other.networks.addresses = {
      {"10.0.0.2", 24, "eth0"}, {"192.168.122.1", 24, "virbr0"}, {"fd00::1", 64, "br0"}};
  EXPECT_TRUE(is_own_of_both("nbd://192.168.122.1:10809/web", one, other));
  EXPECT_TRUE(is_own_of_both("nbd://[fd00::1]:10809/web", one, other));
  EXPECT_FALSE(is_own_of_both("nbd://10.0.0.1:10809/web", one, other)) << "one of them serves it";
  EXPECT_FALSE(is_own_of_both("nbd://192.168.122.10:10809/web", one, other));
  EXPECT_TRUE(is_own_of_both("rbd://10.0.0.9:6789,192.168.122.1:6789/pool/web", one, other));
  EXPECT_TRUE(is_own_of_both("rbd://10.0.0.9:6789,[fd00::1]:6789/pool/web", one, other));
  EXPECT_FALSE(is_own_of_both("rbd://10.0.0.9:6789,10.0.0.8:6789/pool/web", one, other));
}

Vm a_vm(const std::string& uuid, bool persistent = true) {
  Vm vm;
  vm.uuid = uuid;
  vm.name = "vm" + uuid;
  vm.persistent = persistent;
  return vm;
}

NetworkSource at(const std::string& host, const std::string& port = "",
                 const std::string& name = "web") {
  return {"nbd", host, port, name};
}

TEST(NetworkDiskUsers, AreFoundInBothDefinitions) {
  const std::vector<Vm> vms{a_vm("1"), a_vm("2"), a_vm("3", false)};
  const auto read = [](std::string_view uuid, DefinitionKind kind) -> Result<std::string> {
    EXPECT_NE(uuid, "1") << "the VM itself";
    const bool live = kind == DefinitionKind::kLive;
    EXPECT_TRUE(live || uuid != "3");
    return domain(disk("<host name='s'/>", std::string(live ? "live" : "boot"), "vda"));
  };
  const auto users = network_disk_users(vms, "1", read);
  ASSERT_TRUE(users);
  std::vector<std::string> names;
  for (const auto& user : *users) names.push_back(user.vm + " " + user.source.name);
  EXPECT_EQ(names, (std::vector<std::string>{"vm2 boot", "vm2 live", "vm3 live"}));
}

TEST(NetworkDiskUsers, AreNotKnownWhenTheHypervisorDoesNotSay) {
  const std::vector<Vm> vms{a_vm("2")};
  for (const ErrorCode code : {ErrorCode::kNotFound, ErrorCode::kUnavailable}) {
    const auto users = network_disk_users(
        vms, "1",
        [&](std::string_view, DefinitionKind) -> Result<std::string> { return fail(code, "no"); });
    EXPECT_EQ(users.has_value(), code == ErrorCode::kNotFound);
  }
}

TEST(NetworkDiskUsers, AreComparedByAddressPortAndName) {
  const auto taken = [](const NetworkSource& ours, const NetworkSource& theirs) {
    return !taken_by(ours, std::vector<NetworkDiskUser>{{"vm2", theirs}}).empty();
  };
  EXPECT_TRUE(taken(at("10.0.0.9"), at("10.0.0.9")));
  EXPECT_TRUE(taken(at("10.0.0.9"), at("10.0.0.9", "10809")));
  EXPECT_TRUE(taken(at("10.0.0.9"), at("10.0.0.9", "010809")));
  EXPECT_TRUE(taken(at("fd00::9"), at("fd00:0::9"))) << "another name of it";
  EXPECT_TRUE(taken(at("10.0.0.9"), at("no such name"))) << "whatever that was";
  EXPECT_FALSE(taken(at("10.0.0.9"), at("10.0.0.8")));
  EXPECT_FALSE(taken(at("10.0.0.9"), at("10.0.0.9", "10810")));
  EXPECT_FALSE(taken(at("10.0.0.9"), at("10.0.0.9", "", "other")));
}

// One target, one volume answers at several addresses.
TEST(NetworkDiskUsers, OfIscsiAndGlusterAreComparedByNameAlone) {
  const auto taken = [](const std::string& protocol, const std::string& ours,
                        const std::string& theirs) {
    const NetworkSource one{protocol, "10.0.0.9", "", ours}, other{protocol, "", "1", theirs};
    return !taken_by(one, std::vector<NetworkDiskUser>{{"vm2", other}}).empty();
  };
  EXPECT_TRUE(taken("iscsi", "iqn.a:vms/1", "iqn.A:VMS/1"));
  EXPECT_FALSE(taken("iscsi", "iqn.a:vms/1", "iqn.a:vms/2"));
  EXPECT_FALSE(taken("iscsi", "iqn.a:vms/1", "iqn.a:vm/1"));
  EXPECT_TRUE(taken("iscsi", "iqn.a:vms/0", "iqn.a:vms")) << "LUN 0";
  EXPECT_FALSE(taken("iscsi", "iqn.a:vms/1", "iqn.a:vms")) << "LUN 0";
  for (const std::string odd : {"01", "+1", "257", "16385", "65537", "1/2", ""})
    EXPECT_TRUE(taken("iscsi", "iqn.a:vms/1", "iqn.a:vms/" + odd)) << odd;
  EXPECT_TRUE(taken("gluster", "vms/a", "vms/a"));
  EXPECT_TRUE(taken("gluster", "vms/a", "vms//x/.././a"));
  EXPECT_FALSE(taken("gluster", "vms/a", "vms/A"));
  EXPECT_TRUE(taken("rbd", "vms/a", "vms/a"));
  EXPECT_TRUE(taken("rbd", "vms/a", "vms/space/a"));
  EXPECT_TRUE(taken("rbd", "vms/a", "vms/a@then"));
  EXPECT_FALSE(taken("rbd", "vms/a", "vms/ab"));
  EXPECT_FALSE(taken("rbd", "vms/a", "vm/a"));
}

TEST(NetworkDiskUsers, AreWhateverOpensThem) {
  const std::string lun = "<source protocol='iscsi' name='iqn.a:vms/1'><host name='s'/></source>";
  const auto read = [&](std::string_view, DefinitionKind) -> Result<std::string> {
    return domain("<disk type='network'>" + lun + "<auth username='a'/></disk>" +
                  "<disk type='file'><source file='/a'/><backingStore type='network'>" + lun +
                  "</backingStore></disk><hostdev mode='subsystem' type='scsi'>" + lun +
                  "</hostdev>");
  };
  const auto users = network_disk_users(std::vector<Vm>{a_vm("2", false)}, "1", read);
  ASSERT_TRUE(users);
  EXPECT_EQ(users->size(), 3u);
}

TEST(NetworkDiskUsers, MayBeTwoThatComeAtOnce) {
  const auto both = [](const std::string& one, const std::string& other) {
    DiskPlacement first = placed("vda", true), second = placed("vdb", true);
    first.destination_path = one;
    second.destination_path = other;
    return network_disk_of_both(std::vector{first}, std::vector{second});
  };
  const std::string lun = "iscsi://10.0.0.9:3260/iqn.a:vms/1";
  EXPECT_EQ(both(lun, "iscsi://[fd00::9]:3261/iqn.A:vms/1"), lun);
  EXPECT_EQ(both(lun, "iscsi://10.0.0.9:3260/iqn.a:vms/2"), "");
  EXPECT_EQ(both(lun, "gluster://10.0.0.9:3260/iqn.a:vms/1"), "");
  EXPECT_NE(both("nbd://10.0.0.9:10809/a", "nbd://10.0.0.9:10809/a"), "");
  EXPECT_EQ(both("nbd://10.0.0.9:10809/a", "nbd://10.0.0.8:10809/a"), "");
  EXPECT_EQ(both("/srv/a", "/srv/a"), "") << "no network disks";
}

}  // namespace
}  // namespace drover::move
