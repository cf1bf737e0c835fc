// SPDX-License-Identifier: Apache-2.0
#include "gate/definition_policy.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"
#include "gate/definition_test_support.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's
namespace fs = std::filesystem;

std::string violations(const std::string& xml, const AdministratorRules& rules = {}) {
  const auto found = check_definition(xml, rules, any_path);
  return found ? violations_text(*found) : found.error().text();
}

TEST(CheckDefinition, AllowsAnOrdinaryVm) {
  AdministratorRules rules;
  rules.bridges = {"br0"};
  EXPECT_EQ(violations(domain("<resource><partition>/machine</partition></resource>"
                              "<os><loader>/usr/share/OVMF/OVMF_CODE.fd</loader>"
                              "<nvram>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram></os>"
                              "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
                              "<disk type='file'><driver type='qcow2'/>"
                              "<source file='/var/lib/libvirt/images/web1.qcow2'/></disk>"
                              "<interface type='bridge'><source bridge='br0'/></interface>"
                              "<serial type='pty'/><channel type='spicevmc'/>"
                              "<channel type='unix'><source mode='bind'/></channel>"
                              "<graphics type='vnc'><listen type='address' address='127.0.0.1'/>"
                              "</graphics><audio id='1' type='none'/>"
                              "<rng><backend model='random'>/dev/urandom</backend></rng>"
                              "</devices>"),
                       rules),
            "");
}

TEST(CheckDefinition, RefusesWhatTheAdministratorDidNotAllow) {
  const std::string wrong[] = {
      disk("<source file='/etc/shadow'/>"),
      disk("<source file='/var/lib/libvirt/images/../../../../etc/shadow'/>"),
      disk("<source file='/var/lib/libvirt/images'/>"),
      disk("<source file='/var/lib/libvirt/imagesX/a'/>"),
      disk("<source file='/var/lib/libvirt/images//a'/>"),
      disk("<source file='/var/lib/libvirt/images/./a'/>"),
      disk("<source file='images/a'/>"),
      disk("<source file=' /var/lib/libvirt/images/a'/>"),
      disk("<driver type='vmdk'/><source file='/var/lib/libvirt/images/a'/>"),
      disk("<source dev='/dev/sda'/>", "type='block'"),
      disk("<source pool='p' volume='v'/>", "type='volume'"),
      disk("<source protocol='nbd'/>", "type='network'"),
      device("<emulator>/tmp/evil</emulator>"),
      device("<interface type='bridge'><source bridge='br0'/></interface>"),
      device("<interface type='network'><source network='lan'/></interface>"),
      device("<interface type='user'/>"),
      device("<interface type='direct'><source dev='eth0'/></interface>"),
      device("<serial type='file'><source path='/var/lib/libvirt/x'/></serial>"),
      device("<serial type='unix'><source mode='bind' path='/run/docker.sock'/></serial>"),
      device("<serial type='tcp'><source host='h' service='1'/></serial>"),
      device("<serial type='stdio'/>"),
      device("<serial type='pty'><log file='/var/log/x'/></serial>"),
      device("<hostdev mode='subsystem' type='usb'><source/></hostdev>"),
      device("<filesystem/>"),
      device("<shmem name='x'/>"),
      device("<graphics type='vnc' listen='10.9.9.9'/>"),
      device("<graphics type='egl-headless'/>"),
      device("<audio type='alsa'/>"),
      device("<rng><backend>/dev/sda</backend></rng>"),
      device("<unheard-of/>"),
      domain("<os><kernel>/boot/vmlinuz</kernel></os>"),
      domain("<os><nvram>/etc/x</nvram></os>"),
      domain("<seclabel type='none' model='apparmor'/>"),
      domain("<launchSecurity type='sev'/>"),
      domain("<qemu:commandline/>"),
      domain("<memoryBacking><source type='file'/></memoryBacking>"),
      domain("<resource><partition>/system</partition></resource>"),
  };
  for (const std::string& xml : wrong) EXPECT_NE(violations(xml), "") << xml;
}

TEST(CheckDefinition, ANetworkDiskIsAllowedByItsServerOrItsName) {
  AdministratorRules rules;
  rules.network_disks = {"nbd://storage1", "nbd://10.0.0.9:10809/web"};
  const auto network = [](const std::string& source) { return disk(source, "type='network'"); };
  const std::string host = "<host name='storage1'/>";
  EXPECT_EQ(violations(network("<source protocol='nbd' name='any'>" + host + "</source>"), rules),
            "");
  EXPECT_EQ(violations(network("<source protocol='nbd' name='web' index='1' tls='no'>"
                               "<host name='10.0.0.9' port='10809' transport='tcp'/></source>"),
                       rules),
            "");
  rules.network_disks.insert(rules.network_disks.end(),
                             {"iscsi://storage1", "gluster://storage1:24007/vms/web.img"});
  for (const std::string name :
       {"protocol='iscsi' name='iqn.a:vms/1'", "protocol='gluster' name='vms/web.img'"}) {
    EXPECT_EQ(violations(network("<source " + name + ">" + host + "</source>"), rules), "") << name;
  }
  rules.network_disks.insert(rules.network_disks.end(), {"rbd://m1:6789/pool/web\na\nuuid u",
                                                         "rbd://m2:6789/pool/web\na\nuuid u"});
  const std::string auth = "<auth username='a'><secret type='ceph' uuid='u'/></auth>";
  const std::string monitors = "<host name='m1' port='6789'/><host name='m2'/>";
  EXPECT_EQ(
      violations(network("<source protocol='rbd' name='pool/web'>" + monitors + auth + "</source>"),
                 rules),
      "");
  const std::string beside =
      network(auth + "<source protocol='rbd' name='pool/web'>" + monitors + "</source>");
  EXPECT_EQ(violations(beside, rules), "");
  const std::string file = "<source file='/var/lib/libvirt/images/web1'/>";
  EXPECT_NE(violations(disk(file + auth), rules), "") << "of a disk that asks for none";
  EXPECT_NE(
      violations(network(auth + "<source protocol='nbd' name='any'>" + host + "</source>"), rules),
      "");
  EXPECT_NE(violations(network(auth + "<source protocol='rbd' name='pool/web'>" + monitors + auth +
                               "</source>"),
                       rules),
            "")
      << "libvirt takes one place or the other";
  EXPECT_NE(violations(disk(file + "<encryption format='luks'><secret type='passphrase' uuid='u'/>"
                                   "</encryption>"),
                       rules),
            "")
      << "a network disk's secret is for that disk";
  const std::string wrong[] = {
      "<source protocol='rbd' name='pool/web'>" + monitors + "</source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username='b'><secret type='ceph' uuid='u'/></auth></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username='a'><secret type='ceph' uuid='v'/></auth></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username='a'><secret type='ceph' usage='u'/></auth></source>",
      "<source protocol='rbd' name='pool/web2'>" + monitors + "</source>",
      "<source protocol='rbd' name='pool/web'>" + monitors + host + "</source>",
      "<source protocol='rbd' name='pool/web'>" + monitors + auth + auth + "</source>",
      "<source protocol='rbd' name='pool/web'>" + monitors + "<auth username='a'/></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username=''><secret type='ceph' uuid='u'/></auth></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username='a'><secret type='iscsi' uuid='u'/></auth></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors +
          "<auth username='a'><secret type='ceph' uuid='u' usage='v'/></auth></source>",
      "<source protocol='rbd' name='pool/web'>" + monitors + "<config file='/a'/></source>",
      "<source protocol='gluster' name='vms/web.img'>" + host + auth + "</source>",
      "<source protocol='iscsi' name='iqn.a:vms'>" + host + "</source>",
      "<source protocol='iscsi' name='iqn.a:vms/1'>" + host + "<initiator/></source>",
      "<source protocol='gluster' name='vms/web.im'>" + host + "</source>",
      "<source protocol='nbd' name='any'><host name='storage11'/></source>",
      "<source protocol='nbd' name='webby'><host name='10.0.0.9'/></source>",
      "<source protocol='nbd' name='web'><host name='10.0.0.9' port='10810'/></source>",
      "<source protocol='nbd' name='web' tls='yes'>" + host + "</source>",
      "<source protocol='nbd' name='web' query='a'>" + host + "</source>",
      "<source protocol='nbd' name='web'>" + host + host + "</source>",
      "<source protocol='nbd' name='web'>" + host + "<auth username='a'/></source>",
      "<source protocol='nbd' name='web'><host transport='unix' socket='/s'/></source>",
      "<source protocol='nbd' name='web'><host name='storage1' socket='/s'/></source>",
      "<source protocol='rbd' name='web'>" + host + "</source>",
  };
  for (const std::string& source : wrong)
    EXPECT_NE(violations(network(source), rules), "") << source;
}

// droverd looks at one of them, and libvirt perhaps at the other.
TEST(CheckDefinition, RefusesTwoOfWhatThereIsOneOf) {
  const std::string own = "<source file='/var/lib/libvirt/images/web1'/>";
  const std::string other = "<source file='/var/lib/libvirt/images/web2'/>";
  ASSERT_EQ(violations(disk(own)), "");
  EXPECT_NE(violations(disk(own + other)), "");
  EXPECT_NE(
      violations(disk(own + "<backingStore type='file'>" + other + other + "</backingStore>")), "");
  EXPECT_NE(violations(disk(own + "<backingStore/><backingStore/>")), "");
  EXPECT_NE(violations(domain("<devices/><devices/>")), "");
  EXPECT_NE(violations(domain("<os/><os/>")), "");
}

TEST(CheckDefinition, ExactRulesAllowOneThing) {
  AdministratorRules rules;
  rules.exact = {"disk_block /dev/vg/web1", "disk_use raw rw /dev/vg/web1", "unknown x",
                 "namespace qemu:commandline"};
  EXPECT_EQ(violations(disk("<source dev='/dev/vg/web1'/>", "type='block'"), rules), "");
  EXPECT_NE(violations(disk("<source dev='/dev/vg/web2'/>", "type='block'"), rules), "");
  EXPECT_NE(violations(device("<x/>"), rules), "") << "never what is unknown";
  EXPECT_NE(violations(domain("<qemu:commandline/>"), rules), "") << "never a namespace";
}

TEST(CheckDefinition, RefusesSymbolicLinksBelowTheFolder) {
  const fs::path folder = fs::temp_directory_path() / ("drover-policy-" + random_name(8));
  fs::create_directories(folder / "real");
  fs::create_directory_symlink("/etc", folder / "linked");
  std::ofstream(folder / "real/disk") << "x";
  const std::string base = folder.string();
  EXPECT_TRUE(no_links_beneath(base + "/real/disk", base));
  EXPECT_TRUE(no_links_beneath(base + "/real/later", base));
  EXPECT_FALSE(no_links_beneath(base + "/linked/passwd", base));
  fs::remove_all(folder);
}

TEST(CheckDefinition, RefusesANetworkDiskBelowADisk) {
  AdministratorRules rules;
  rules.network_disks = {"nbd://s", "*"};
  const std::string server = "<source protocol='nbd' name='web'><host name='s'/></source>";
  const std::string file = "<source file='/var/lib/libvirt/images/web1'/>";
  EXPECT_EQ(violations(disk(server, "type='network'"), rules), "");
  const std::string layer = "<format type='raw'/>" + server;
  for (const std::string& xml : {
           disk(file + "<backingStore type='network'>" + layer + "</backingStore>"),
           disk(file + "<mirror type='network' job='copy'>" + layer + "</mirror>"),
           disk("<source file='/var/lib/libvirt/images/web1'><dataStore type='network'>" + layer +
                "</dataStore></source>"),
           disk(server + "<backingStore type='network'>" + layer + "</backingStore>",
                "type='network'"),
       })
    EXPECT_NE(violations(xml, rules), "") << xml;
}

class Reservation : public ::testing::Test {
 protected:
  Reservation() {
    policy_.host = "host2";
    policy_.vm_name = "web1";
    policy_.vm_uuid = kDefinedUuid;
    EXPECT_TRUE(reserve_references(policy_, disk(kSource)));
  }
  std::string refused(const std::string& xml) const {
    const Status status = check_domain(xml, policy_, any_path);
    return status ? "" : status.error().text();
  }
  static constexpr const char* kSource = "<source file='/var/lib/libvirt/images/web1'/>";
  Policy policy_;
};

TEST_F(Reservation, AcceptsWhatWasReserved) { EXPECT_EQ(refused(disk(kSource)), ""); }

TEST_F(Reservation, RefusesAllowedThingsThatWereNotReserved) {
  const std::string wrong[] = {
      disk("<source file='/var/lib/libvirt/images/other'/>"),
      disk(std::string("<driver type='qcow2'/>") + kSource),
      disk("<source file='/var/lib/libvirt/images/web1'/>"
           "<backingStore type='file'><format type='raw'/>"
           "<source file='/var/lib/libvirt/images/other'/></backingStore>"),
      device("<serial type='pty'/>"),
      device("<emulator>/usr/bin/qemu-system-x86_64</emulator>"),
  };
  for (const std::string& xml : wrong) {
    EXPECT_NE(refused(xml).find("is not in the reservation"), std::string::npos) << xml;
  }
}

TEST_F(Reservation, RefusesReservedThingsThatAreNotAllowed) {
  ASSERT_TRUE(reserve_references(policy_, device("<hostdev/>")));
  EXPECT_NE(refused(device("<hostdev/>")), "");
}

TEST_F(Reservation, RefusesAnotherIdentity) {
  const std::string name = "<name>web1</name>";
  const std::string uuid = "<uuid>" + std::string(kDefinedUuid) + "</uuid>";
  const std::string wrong[] = {
      "<name>web2</name>" + uuid,
      name + "<uuid>ffffffff-89ab-cdef-0123-456789abcdef</uuid>",
      name + name + uuid,
      name + uuid + uuid,
      name,
      uuid,
      "<name>web1<x/>2</name>" + uuid,
      name + "<uuid> " + kDefinedUuid + "</uuid>",
  };
  for (const std::string& identity : wrong) {
    EXPECT_NE(refused("<domain>" + identity + "</domain>"), "") << identity;
  }
  EXPECT_EQ(refused("<domain>" + uuid + name + "</domain>"), "");
  EXPECT_NE(refused("<network>" + uuid + name + "</network>"), "");
}

}  // namespace
}  // namespace drover::gate
