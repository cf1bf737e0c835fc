// SPDX-License-Identifier: Apache-2.0
#include "gate/reference_tables.h"

#include <algorithm>
#include <array>

namespace drover::gate {
namespace {

using enum ReferenceKind;

struct SimpleReference {
  std::string_view place;
  ReferenceKind kind;
};

constexpr SimpleReference kSimple[] = {
    {"devices/emulator#", kEmulator},
    {"devices/disk/source@file", kDiskFile},
    {"devices/disk@file", kDiskFile},  // <mirror file=…> of old
    {"devices/disk/source@dev", kDiskBlock},
    {"devices/disk/source@dir", kDiskOther},
    {"devices/disk/source/host@socket", kDiskOther},
    {"devices/disk/source/config@file", kDiskOther},
    {"devices/disk/source/identity@keyfile", kDiskOther},
    {"devices/disk/source/knownHosts@path", kDiskOther},
    {"devices/*/rom@file", kFirmware},
    {"devices/*/secret@uuid", kSecret},
    {"devices/*/*/secret@uuid", kSecret},
    {"devices/*/*/*/secret@uuid", kSecret},
    {"devices/*/secret@usage", kSecret},
    {"devices/*/*/secret@usage", kSecret},
    {"devices/*/*/*/secret@usage", kSecret},
    {"devices/*/log@file", kCharLog},
    {"devices/interface/target@dev", kInterfaceDevice},
    {"devices/interface/script@path", kInterfaceDevice},
    {"devices/interface/downscript@path", kInterfaceDevice},
    {"devices/interface/backend@tap", kInterfaceDevice},
    {"devices/interface/backend@vhost", kInterfaceDevice},
    {"devices/interface/backend@logFile", kInterfaceDevice},
    {"devices/interface/filterref@filter", kNetworkFilter},
    {"devices/rng/backend#", kRandomSource},
    {"devices/tpm/backend/device@path", kHostDevice},
    {"devices/tpm/backend/source@path", kNvram},
    {"devices/tpm/backend/encryption@secret", kSecret},
    {"devices/input/source@dev", kHostDevice},
    {"devices/input/source@evdev", kHostDevice},
    {"devices/memory/source/path#", kMemoryFile},
    {"devices/pstore/path#", kNvram},
    {"devices/graphics/gl@rendernode", kGraphics},
    {"devices/video/model/acceleration@rendernode", kGraphics},
    {"os/loader#", kFirmware},
    {"os/nvram@template", kFirmware},
    {"os/nvram#", kNvram},
    {"os/nvram/source@file", kNvram},
    {"os/nvram/source@dev", kDiskBlock},
    {"os/kernel#", kFirmware},
    {"os/shim#", kFirmware},
    {"os/initrd#", kFirmware},
    {"os/dtb#", kFirmware},
    {"os/acpi/table#", kFirmware},
    {"sysinfo/entry@file", kFirmware},
    {"resource/partition#", kCgroup},
    {"blkiotune/device/path#", kHostDevice},
};

constexpr std::string_view kHarmlessPlaces[] = {
    "devices/*/serial#",
    "devices/disk/serial#",
    "devices/disk/target@dev",
    "devices/disk/wwn#",
    "devices/disk/vendor#",
    "devices/disk/product#",
    "devices/memory/uuid#",
    "devices/interface/virtualport/parameters@instanceid",
    "devices/interface/virtualport/parameters@interfaceid",
    "devices/interface/virtualport/parameters@profileid",
    "devices/interface/virtualport/parameters@managerid",
    "devices/interface/virtualport/parameters@typeid",
    "devices/interface/virtualport/parameters@typeidversion",
    "devices/interface/mac@address",
    "os/boot@dev",
    "os/cmdline#",
    "os/loader@type",
    "sysinfo/entry#",
    "sysinfo/*/entry#",
    "sysinfo/entry@name",
    "sysinfo/*/entry@name",
    "clock@timezone",
    "memoryBacking/source@type",  // its own kind: see host_references.cpp
    "features/ioapic@driver",
    "cpu/*@name",
    "numatune/*@node",
    "cpu/*/*@node",
};

constexpr std::string_view kHarmlessElements =
    "acceleration acpi active_pcr_banks address alias alignsize audio auth backend "
    "backingStore bandwidth bar block blockio boot busNr catchup channel chassis chassisNr "
    "cid cipher clipboard coalesce codec console controller cookie cookies crypto current "
    "dataStore device disk downscript driver emulator encryption filesystem filetransfer "
    "filterref format frames frontend geometry gl graphics group_name guest hash host hostdev "
    "hub image inbound index initiator input interface iommu iothread iothreads iotune ip iqn "
    "ivgen jpeg label lease link listen local log mac master max max_size maxphysaddr "
    "memReserve memballoon memory metadata_cache mirror model mouse mtu node nodemask nvram "
    "outbound output pagesize panic parallel parameter parameters path pcihole64 peer period "
    "playback pmem port portForward product profile protocol pstore queue range rate "
    "read_bytes_sec read_bytes_sec_max read_bytes_sec_max_length read_iops_sec "
    "read_iops_sec_max read_iops_sec_max_length readonly reconnect redirdev redirfilter "
    "requested reservations resolution rng rom route rx script seclabel secret serial "
    "settings sha1 sha256 sha384 sha512 shareable shmem size size_iops_sec slice slices "
    "smartcard sndbuf sound source state stats streaming tag target teaming throttlefilter "
    "throttlefilters total_bytes_sec total_bytes_sec_max total_bytes_sec_max_length "
    "total_iops_sec total_iops_sec_max total_iops_sec_max_length tpm transient tune usbdev "
    "uuid vendor video virtualport vlan vsock watchdog write_bytes_sec write_bytes_sec_max "
    "write_bytes_sec_max_length write_iops_sec write_iops_sec_max write_iops_sec_max_length "
    "wwn zlib zpci";

constexpr std::string_view kHarmlessAttributes =
    "accel2d accel3d access action actual address address_type allow append ats autodeflate "
    "autoport average aw_bits backend bar base bitmask blob blocksize bufferCount burst bus "
    "busNr busnr bytes cache caching_mode cancel channel channels chassis chassisNr class "
    "cmd_per_lun compression connected controller copy_on_read copypaste cssid csum cylinders "
    "cyls debug defaultMode delay detect_zeroes dev_addr device devno direct_io discard "
    "discard_granularity discard_no_unref dma_translation dmode domain dscp dynamicMemslots "
    "ecn edid eim enable enabled end engine error_policy event_idx exclude family "
    "featurePolicy fid fixedSettings floor fmode format freePageReporting frequency "
    "fullscreen function gateway gid grab grabToggle granule group gso guest_reset hash heads "
    "hotplug id index inherit intremap io iobase ioeventfd iommu iommu_platform iothread "
    "iotlb ipiv irq isolated job keymap latency length listen loadparm locked "
    "logical_block_size lun managed max maxCpus max_bytes max_sectors memReserve metadata min "
    "mixingEngine mode model mrg_rxbuf mtu multichannel multidevs multifunction name native "
    "nativeMode nativemode netmask node nodnic offset order packed page_per_vq pasid "
    "passthrough passwd passwdValidTo peak period persistent persistent_state "
    "physical_block_size pkcs policy polling port ports powerControl prefix primary priority "
    "product proto protocol queue queue_size queues ram rate readonly ready reconnect reg "
    "relabel removable removeDisabled remove_source repeat rerror_policy rotation_rate rss "
    "rss_hash_report rx_queue_size secs serial setup sharePolicy shareable shared size slot "
    "snapshot ssid start startport startupPolicy state status stream streaming streams style "
    "support tagged target targetbus tcp threads timeout tlsPort to trans transport tray "
    "trunk tso4 tso6 tune tx_queue_size txmode type udp ufo uid unit unmap unpriv_sgio usb "
    "username value vcpus vectors vendor version vgamem vhost vlan voices vport vram vram64 "
    "wait websocket websocketGenerated writeout wsGenerated wwn wwnn wwpn x xbzrle xres y "
    "yres zone";

constexpr std::string_view kKnownElements =
    "blkiotune blkiotune/* blkiotune/device/* clock clock/* clock/*/* cpu cpu/* cpu/*/* "
    "cpu/*/*/* cpu/*/*/*/* cputune cputune/* cputune/*/* cputune/*/*/* currentMemory "
    "defaultiothread description devices features features/* features/*/* features/*/*/* "
    "genid iothreadids iothreadids/* iothreadids/*/* iothreads keywrap keywrap/* "
    "launchSecurity maxMemory memory memoryBacking memoryBacking/access "
    "memoryBacking/allocation memoryBacking/discard memoryBacking/hugepages "
    "memoryBacking/hugepages/page memoryBacking/locked memoryBacking/nosharepages "
    "memoryBacking/source memtune memtune/* metadata name numatune numatune/* on_crash "
    "on_lockfailure on_poweroff on_reboot os os/acpi os/acpi/table os/bios os/boot "
    "os/bootmenu os/cmdline os/dtb os/firmware os/firmware/feature os/initrd os/kernel "
    "os/loader os/nvram os/nvram/source os/shim os/smbios os/type perf perf/* pm pm/* "
    "resource resource/fibrechannel resource/partition seclabel seclabel/* sysinfo "
    "sysinfo/baseBoard sysinfo/baseBoard/entry sysinfo/bios sysinfo/bios/entry "
    "sysinfo/chassis sysinfo/chassis/entry sysinfo/entry sysinfo/oemStrings "
    "sysinfo/oemStrings/entry sysinfo/system sysinfo/system/entry throttlegroups "
    "throttlegroups/* throttlegroups/*/* title uuid vcpu vcpus vcpus/vcpu";

constexpr std::string_view kSuspicious =
    "bridge certificate dev device dir driver evdev exec file host keyfile network node "
    "partition path pool rendernode runtimeDir script serverName socket source template tty "
    "volume";

// Calls `test` with each word until one passes.
template <typename Test>
bool any_word(std::string_view words, Test test) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (test(words.substr(0, end))) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

bool contains(std::string_view words, std::string_view wanted) {
  return any_word(words, [&](std::string_view word) { return word == wanted; });
}

}  // namespace

bool path_matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && !path.empty()) {
    if (pattern.front() == '*') {
      const std::size_t end = path.find_first_of("/@#");
      if (end == 0) return false;
      path.remove_prefix(std::min(end, path.size()));
      pattern.remove_prefix(1);
      continue;
    }
    if (pattern.front() != path.front()) return false;
    pattern.remove_prefix(1);
    path.remove_prefix(1);
  }
  return pattern.empty() && path.empty();
}

std::optional<ReferenceKind> simple_reference(std::string_view place) {
  for (const auto& entry : kSimple) {
    if (path_matches(entry.place, place)) return entry.kind;
  }
  return std::nullopt;
}

bool is_harmless_place(std::string_view place) {
  return std::ranges::any_of(
      kHarmlessPlaces, [&](std::string_view pattern) { return path_matches(pattern, place); });
}

bool is_harmless_device_element(std::string_view name) { return contains(kHarmlessElements, name); }

bool is_harmless_device_attribute(std::string_view name) {
  return contains(kHarmlessAttributes, name);
}

bool is_known_element(std::string_view path) {
  return any_word(kKnownElements,
                  [&](std::string_view pattern) { return path_matches(pattern, path); });
}

bool is_suspicious_attribute(std::string_view name) { return contains(kSuspicious, name); }

}  // namespace drover::gate
