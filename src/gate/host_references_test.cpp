// SPDX-License-Identifier: Apache-2.0
// What a definition refers to of the host.
#include <algorithm>

#include <gtest/gtest.h>

#include "gate/definition_policy.h"
#include "gate/definition_test_support.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's

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

}  // namespace
}  // namespace drover::gate
