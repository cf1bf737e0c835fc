// SPDX-License-Identifier: Apache-2.0
#include "gate/definition_policy.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"

namespace drover::gate {
namespace {

namespace fs = std::filesystem;
using enum ReferenceKind;

constexpr const char* kUuid = "01234567-89ab-cdef-0123-456789abcdef";
const std::string kIdentity = "<name>web1</name><uuid>" + std::string(kUuid) + "</uuid>";

std::string domain(const std::string& inside) {
  return "<domain type='kvm'>" + kIdentity + inside + "</domain>";
}

std::string device(const std::string& inside) {
  return domain("<devices>" + inside + "</devices>");
}

std::string disk(const std::string& inside, const std::string& attributes = "type='file'") {
  return device("<disk " + attributes + ">" + inside + "</disk>");
}

std::vector<std::string> references(const std::string& xml) {
  std::vector<std::string> out;
  const auto found = host_references(xml);
  EXPECT_TRUE(found) << found.error().text();
  for (const auto& reference : *found) {
    out.push_back(std::string(reference_kind_name(reference.kind)) + " " + reference.value);
  }
  return out;
}

bool refers(const std::string& xml, const std::string& reference) {
  return std::ranges::count(references(xml), reference) > 0;
}

std::string violations(const std::string& xml, const AdministratorRules& rules = {}) {
  const auto found = check_definition(xml, rules, any_path);
  return found ? violations_text(*found) : found.error().text();
}

struct Case {
  const char* xml;
  const char* reference;
};

TEST(HostReferences, FindsEachWayToNameSomethingOfTheHost) {
  const Case cases[] = {
      {"<emulator>/bin/sh</emulator>", "emulator /bin/sh"},
      {"<disk type='file'><source file='/x'/></disk>", "disk_file /x"},
      {"<disk type='file'><source file='/x'/></disk>", "disk_use raw rw /x"},
      {"<disk type='file' device='cdrom'><source file='/x'/></disk>", "disk_use raw ro /x"},
      {"<disk><driver type='qcow2'/><source file='/x'/><readonly/></disk>", "disk_use qcow2 ro /x"},
      {"<disk type='block'><source dev='/dev/sda'/></disk>", "disk_block /dev/sda"},
      {"<disk type='volume'><source pool='p' volume='v'/></disk>", "disk_volume p/v"},
      {"<disk type='dir'><source dir='/etc'/></disk>", "disk_other /etc"},
      {"<disk type='network'><source protocol='rbd' name='a/b'><host name='h'/></source></disk>",
       "disk_network source name='a/b' protocol='rbd' {host name='h'}"},
      {"<disk type='network'><source protocol='nbd'><host transport='unix' socket='/s'/></source>"
       "</disk>",
       "disk_network source protocol='nbd' {host socket='/s' transport='unix'}"},
      {"<disk type='nvme'><source type='pci'><address bus='0x1'/></source></disk>",
       "disk_other nvme source type='pci' {address bus='0x1'}"},
      {"<disk type='vhostuser'><source type='unix' path='/s'/></disk>",
       "disk_other vhostuser source path='/s' type='unix'"},
      {"<disk><backingStore type='file'><format type='raw'/><source file='/b'/><backingStore "
       "type='block'><source dev='/dev/b'/></backingStore></backingStore></disk>",
       "disk_block /dev/b"},
      {"<disk><backingStore type='file'><format type='raw'/><source file='/b'/></backingStore>"
       "</disk>",
       "disk_use raw layer /b"},
      {"<disk><mirror type='file'><source file='/m'/></mirror></disk>", "disk_file /m"},
      {"<disk><mirror file='/m'/></disk>", "disk_file /m"},
      {"<disk><source file='/x'><dataStore type='file'><source file='/d'/></dataStore></source>"
       "</disk>",
       "disk_file /d"},
      {"<disk rawio='yes'/>", "host_device rawio=yes"},
      {"<disk type='block' device='lun' sgio='unfiltered'/>", "host_device sgio=unfiltered"},
      {"<disk><source file='/x'><seclabel model='dac' relabel='no'/></source></disk>",
       "security_label seclabel model='dac' relabel='no'"},
      {"<disk><source file='/x'><encryption format='luks'><secret type='passphrase' uuid='u'/>"
       "</encryption></source></disk>",
       "secret u"},
      {"<interface type='network'><source network='lan' portgroup='g'/></interface>",
       "network lan/g"},
      {"<interface type='bridge'><source bridge='br0'/><vlan><tag id='7'/></vlan></interface>",
       "bridge br0 vlan {tag id='7'}"},
      {"<interface type='direct'><source dev='eth0' mode='vepa'/></interface>",
       "interface direct source dev='eth0' mode='vepa'"},
      {"<interface type='user'/>", "interface user"},
      {"<interface type='user'><portForward proto='tcp'><range start='22'/></portForward>"
       "</interface>",
       "interface portForward proto='tcp' {range start='22'}"},
      {"<interface type='ethernet'><script path='/x.sh'/></interface>", "interface_device /x.sh"},
      {"<interface type='bridge'><source bridge='b'/><target dev='eth0'/></interface>",
       "interface_device eth0"},
      {"<interface type='vhostuser'><source type='unix' path='/s' mode='client'/></interface>",
       "interface vhostuser source mode='client' path='/s' type='unix'"},
      {"<interface type='bridge'><source bridge='b'/><filterref filter='f'/></interface>",
       "network_filter f"},
      {"<interface type='bridge'><source bridge='b'/><rom file='/r'/></interface>", "firmware /r"},
      {"<serial type='file'><source path='/etc/passwd'/></serial>",
       "char_device file source path='/etc/passwd'"},
      {"<serial type='pty'><source path='/dev/pts/3'/><log file='/l'/></serial>", "char_log /l"},
      {"<console type='pty' tty='/dev/pts/3'/>", "char_device pty"},
      {"<channel type='tcp'><source mode='connect' host='h' service='22'/></channel>",
       "char_device tcp source host='h' mode='connect' service='22'"},
      {"<channel type='unix'><source mode='bind' path='/run/libvirt/qemu/channel/7-web1/a.0'/>"
       "</channel>",
       "char_device unix generated"},
      {"<channel type='unix'><source mode='bind' path='/run/libvirt/qemu/channel/7-web1/../a.0'/>"
       "</channel>",
       "char_device unix source mode='bind' path='/run/libvirt/qemu/channel/7-web1/../a.0'"},
      {"<redirdev type='dev'><source path='/dev/x'/></redirdev>",
       "char_device dev source path='/dev/x'"},
      {"<rng><backend model='random'>/dev/sda</backend></rng>", "random_source /dev/sda"},
      {"<rng><backend model='egd' type='udp'><source host='h'/></backend></rng>",
       "char_device udp source host='h'"},
      {"<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>",
       "host_device /dev/tpm0"},
      {"<tpm><backend type='emulator'><source type='dir' path='/t'/></backend></tpm>", "nvram /t"},
      {"<graphics type='vnc' listen='10.0.0.1' socket='/s'/>", "graphics_listen address:10.0.0.1"},
      {"<graphics type='vnc' listen='10.0.0.1' socket='/s'/>", "graphics_listen socket:/s"},
      {"<graphics type='spice'><listen type='network' network='lan'/></graphics>",
       "graphics_listen network:lan"},
      {"<graphics type='spice'><gl rendernode='/dev/dri/r'/></graphics>",
       "graphics gl rendernode='/dev/dri/r'"},
      {"<graphics type='sdl' xauth='/x'/>", "graphics graphics type='sdl' xauth='/x'"},
      {"<graphics type='vnc' keymap='etc/passwd'/>", "unknown etc/passwd"},
      {"<audio id='1' type='file' path='/a'/>", "audio audio id='1' path='/a' type='file'"},
      {"<hostdev mode='subsystem' type='pci'><source><address bus='1'/></source></hostdev>",
       "host_device subsystem pci  source {address bus='1'}"},
      {"<filesystem type='mount'><source dir='/'/></filesystem>",
       "filesystem filesystem type='mount' {source dir='/'}"},
      {"<shmem name='s'/>", "shared_memory shmem name='s'"},
      {"<input type='evdev'><source dev='/dev/input/e'/></input>", "host_device /dev/input/e"},
      {"<memory model='nvdimm'><source><path>/n</path></source></memory>", "memory_file /n"},
      {"<smartcard mode='host'/>", "host_device smartcard mode='host'"},
      {"<vsock><cid auto='no' address='4'/></vsock>", "vsock cid:4"},
      {"<pstore backend='acpi-erst'><path>/p</path></pstore>", "nvram /p"},
      {"<lease><key>k</key></lease>", "host_device lease {key k}"},
      {"<quantum entangled='/dev/q'/>", "unknown quantum entangled='/dev/q'"},
      {"<disk><source file='/x' wormhole='a'/></disk>", "unknown a"},
  };
  for (const Case& c : cases) EXPECT_TRUE(refers(device(c.xml), c.reference)) << c.xml;
}

TEST(HostReferences, FindsThoseOutsideTheDevices) {
  const Case cases[] = {
      {"<os><kernel>/k</kernel></os>", "firmware /k"},
      {"<os><initrd>/i</initrd></os>", "firmware /i"},
      {"<os><dtb>/d</dtb></os>", "firmware /d"},
      {"<os><loader type='pflash'>/l</loader></os>", "firmware /l"},
      {"<os><nvram template='/t'>/n</nvram></os>", "nvram /n"},
      {"<os><nvram template='/t'>/n</nvram></os>", "firmware /t"},
      {"<os><nvram type='file'><source file='/n'/></nvram></os>", "nvram /n"},
      {"<os><acpi><table type='slic'>/a</table></acpi></os>", "firmware /a"},
      {"<sysinfo type='fwcfg'><entry name='n' file='/f'/></sysinfo>", "firmware /f"},
      {"<memoryBacking><source type='file'/></memoryBacking>", "memory_file file"},
      {"<resource><partition>/other</partition></resource>", "cgroup /other"},
      {"<blkiotune><device><path>/dev/sda</path></device></blkiotune>", "host_device /dev/sda"},
      {"<seclabel type='none' model='apparmor'/>",
       "security_label seclabel model='apparmor' type='none'"},
      {"<seclabel type='static' model='dac'><label>0:0</label></seclabel>",
       "security_label seclabel model='dac' type='static' {label 0:0}"},
      {"<launchSecurity type='sev'/>", "launch_security launchSecurity type='sev'"},
      {"<bootloader>/b</bootloader>", "unknown bootloader /b"},
      {"<qemu:commandline><qemu:arg value='-x'/></qemu:commandline>",
       "namespace qemu:commandline {qemu:arg value='-x'}"},
      {"<q:override/>", "namespace q:override"},
      {"<features><new where='/x'/></features>", "unknown /x"},
      {"<clock><timer file='x'/></clock>", "unknown x"},
  };
  for (const Case& c : cases) EXPECT_TRUE(refers(domain(c.xml), c.reference)) << c.xml;
  EXPECT_TRUE(refers("<domain xmlns:qemu='u'>" + kIdentity + "</domain>", "namespace xmlns:qemu"));
  EXPECT_TRUE(refers(domain("<cpu xmlns='http://libvirt.org/schemas/domain/qemu/1.0'/>"),
                     "namespace http://libvirt.org/schemas/domain/qemu/1.0"));
}

TEST(HostReferences, LeavesMetadataAndWhatIsTheGuestsOwnAlone) {
  EXPECT_TRUE(references(domain("<metadata><a:b xmlns:a='u' path='/etc'>/etc</a:b></metadata>"
                                "<title>/x</title><description>/y</description>"))
                  .empty());
  EXPECT_TRUE(references(device("<disk><target dev='vda' bus='virtio'/><serial>/s</serial></disk>"
                                "<controller type='usb' ports='15'/><memballoon model='virtio'/>"
                                "<video><model type='qxl' ram='65536'/></video>"))
                  .empty());
  EXPECT_TRUE(refers(device("<metadata>/etc</metadata>"), "unknown metadata /etc"))
      << "only the one that libvirt skips";
}

TEST(HostReferences, NamesThatLibvirtGivesMeanNothing) {
  const auto tap = [](const char* name) {
    return device("<interface type='bridge'><source bridge='b'/><target dev='" + std::string(name) +
                  "'/></interface>");
  };
  EXPECT_EQ(references(tap("vnet12")), references(tap("vnet3")));
  EXPECT_NE(references(tap("vnetx")), references(tap("vnet3")));
  EXPECT_NE(references(tap("vnet3-uplink")), references(tap("vnet3")));
}

TEST(StrictXml, RefusesWhatParsersReadDifferently) {
  const std::string wrong[] = {
      "",
      "<domain>",
      "<!DOCTYPE domain [<!ENTITY x '/etc'>]><domain/>",
      "<?xml version='1.0' encoding='UTF-7'?><domain/>",
      "<domain><?pi?></domain>",
      "<domain><name>a<!-- -->b</name></domain>",
      "<domain><name><![CDATA[a]]></name></domain>",
      "<domain a='1' a='2'/>",
      "<domain/><domain/>",
      std::string("<domain>\0</domain>", 18),
      "<domain>\x01</domain>",
      "<network/>",
  };
  for (const std::string& xml : wrong) EXPECT_FALSE(host_references(xml)) << xml;
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<domain>";
  EXPECT_FALSE(host_references(deep));
  for (int i = 0; i < 100000; ++i) deep += "</domain>";
  EXPECT_FALSE(host_references(deep));
}

TEST(StrictXml, PassesCommentsInMetadataOnly) {
  EXPECT_TRUE(host_references(domain("<metadata><x><!-- a --><![CDATA[b]]></x></metadata>")));
  EXPECT_FALSE(host_references(domain("<devices><metadata><!-- a --></metadata></devices>")));
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
  const std::string wrong[] = {
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

class Reservation : public testing::Test {
 protected:
  Reservation() {
    policy_.host = "host2";
    policy_.vm_name = "web1";
    policy_.vm_uuid = kUuid;
    EXPECT_TRUE(reserve_references(policy_, disk(kSource)));
  }
  std::string refused(const std::string& xml) const {
    const Status status = check_domain(xml, policy_, any_path);
    return status ? "" : status.error().text();
  }
  static constexpr const char* kSource = "<source file='/var/lib/libvirt/images/web1'/>";
  Policy policy_;
};

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
  const std::string uuid = "<uuid>" + std::string(kUuid) + "</uuid>";
  const std::string wrong[] = {
      "<name>web2</name>" + uuid,
      name + "<uuid>ffffffff-89ab-cdef-0123-456789abcdef</uuid>",
      name + name + uuid,
      name + uuid + uuid,
      name,
      uuid,
      "<name>web1<x/>2</name>" + uuid,
      name + "<uuid> " + kUuid + "</uuid>",
  };
  for (const std::string& identity : wrong) {
    EXPECT_NE(refused("<domain>" + identity + "</domain>"), "") << identity;
  }
  EXPECT_EQ(refused("<domain>" + uuid + name + "</domain>"), "");
  EXPECT_NE(refused("<network>" + uuid + name + "</network>"), "");
}

TEST(PolicyJson, SurvivesARoundTrip) {
  Policy policy{"host2", "web1", kUuid, "unix:///m", "unix:///d", {"vda"}, {}, {}};
  ASSERT_TRUE(reserve_references(policy, disk("<source file='/x'/>")));
  policy.rules.bridges = {"br0"};
  policy.rules.host_devices = true;
  const std::string text = policy_text(policy);
  const auto again = parse_policy(text);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(policy_text(*again), text);
  EXPECT_EQ(again->references.size(), 2u);
  EXPECT_EQ(again->references[1].value, "/x");
}

TEST(PolicyJson, RefusesRulesThatDoNotExist) {
  EXPECT_TRUE(parse_rules("{}"));
  EXPECT_TRUE(parse_rules(R"({"bridges":["br0"],"user_network":true})"));
  for (const char* wrong : {"", "[]", R"({"brdges":[]})", R"({"bridges":"br0"})",
                            R"({"user_network":1})", R"({"bridges":[1]})"}) {
    EXPECT_FALSE(parse_rules(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace drover::gate
