// SPDX-License-Identifier: Apache-2.0
// On dumps of libvirt 9.0 (testdata/): `virsh dumpxml --migratable --security-info`.
#include "hypervisor/domain_xml.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/file.h"
#include "hypervisor/adapt_definition.h"
#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

std::string dump(const std::string& name) {
  const auto text = read_file(std::string(DROVER_TESTDATA "/") + name + ".xml");
  EXPECT_TRUE(text) << text.error().text();
  return text.value_or("");
}

const DiskFacts* disk(const DomainFacts& facts, const std::string& target) {
  const auto found =
      std::find_if(facts.disks.begin(), facts.disks.end(),
                   [&](const DiskFacts& entry) { return entry.disk.target == target; });
  return found == facts.disks.end() ? nullptr : &*found;
}

// The same tree: names, attributes in order, texts that are more than layout.
void expect_same(const pugi::xml_node& left, const pugi::xml_node& right,
                 const std::string& where) {
  EXPECT_STREQ(left.name(), right.name()) << where;
  EXPECT_STREQ(left.value(), right.value()) << where;
  auto a = left.first_attribute(), b = right.first_attribute();
  for (; a && b; a = a.next_attribute(), b = b.next_attribute()) {
    EXPECT_STREQ(a.name(), b.name()) << where;
    EXPECT_STREQ(a.value(), b.value()) << where;
  }
  EXPECT_EQ(static_cast<bool>(a), static_cast<bool>(b)) << where;
  auto c = left.first_child(), d = right.first_child();
  for (; c && d; c = c.next_sibling(), d = d.next_sibling()) {
    expect_same(c, d, where + "/" + c.name());
  }
  EXPECT_EQ(static_cast<bool>(c), static_cast<bool>(d)) << where;
}

TEST(DomainXml, ReadsAPlainVm) {
  const auto facts = parse_domain(dump("plain_live"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->vm.name, "web01");
  EXPECT_EQ(facts->vm.uuid.size(), 36u);
  EXPECT_EQ(facts->vm.memory, mib(256));
  EXPECT_EQ(facts->vm.vcpus, 1u);
  EXPECT_EQ(facts->vm.domain_type, "qemu");
  EXPECT_EQ(facts->vm.machine, "pc-q35-7.2");
  EXPECT_EQ(facts->arch, "x86_64");
  EXPECT_EQ(facts->emulator, "/usr/bin/qemu-system-x86_64");
  ASSERT_EQ(facts->vm.disks.size(), 1u);
  EXPECT_EQ(facts->vm.disks[0].target, "vda");
  EXPECT_EQ(facts->vm.disks[0].path, "/var/lib/libvirt/images/web01.qcow2");
  EXPECT_EQ(facts->vm.disks[0].format, "qcow2");
  ASSERT_EQ(facts->interfaces.size(), 1u);
  EXPECT_EQ(facts->interfaces[0].type, "bridge");
  EXPECT_EQ(facts->interfaces[0].source, "br0");
  EXPECT_EQ(facts->cpu_mode, "custom");
  EXPECT_EQ(facts->cpu_model, "qemu64");
}

TEST(DomainXml, ReadsFirmwareTpmAndDrives) {
  const auto facts = parse_domain(dump("uefi_live"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->vm.nvram_path, "/var/lib/libvirt/qemu/nvram/uefi-1_VARS.fd");
  EXPECT_EQ(facts->nvram_template, "/usr/share/OVMF/OVMF_VARS_4M.fd");
  EXPECT_EQ(facts->loader, "/usr/share/OVMF/OVMF_CODE_4M.fd");
  EXPECT_EQ(facts->host_files, std::vector<std::string>{"/usr/share/OVMF/OVMF_CODE_4M.fd"});
  EXPECT_EQ(facts->tpm_backend, "emulator");
  EXPECT_EQ(facts->cpu_check, "full");
  EXPECT_EQ(disk(*facts, "vdb")->cache, "none");
  EXPECT_EQ(disk(*facts, "vdc")->pool, "default");
  EXPECT_EQ(disk(*facts, "vdc")->volume, "vol.qcow2");
  EXPECT_EQ(disk(*facts, "sda")->disk.device, DiskDevice::kCdrom);
  EXPECT_EQ(disk(*facts, "sda")->disk.path, "/var/lib/libvirt/images/mit leer/döc.iso");
  EXPECT_TRUE(disk(*facts, "sda")->disk.read_only);
  ASSERT_EQ(facts->graphics.size(), 1u);
  EXPECT_EQ(facts->graphics[0].addresses, std::vector<std::string>{"127.0.0.1"});
}

TEST(DomainXml, ReadsEveryKindOfDevice) {
  const auto facts = parse_domain(dump("rich_persistent"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->vm.name, "Büro Server 2");
  EXPECT_EQ(facts->vm.memory, gib(2));
  EXPECT_EQ(disk(*facts, "vda")->disk.path, "/srv/vms/Büro Platte 1.qcow2");
  EXPECT_EQ(disk(*facts, "vdb")->disk.kind, DiskKind::kBlock);
  EXPECT_EQ(disk(*facts, "vdb")->disk.path, "/dev/vg0/data");
  EXPECT_EQ(disk(*facts, "vdc")->disk.kind, DiskKind::kNetwork);
  EXPECT_EQ(disk(*facts, "vdc")->network.protocol, "rbd");
  EXPECT_EQ(disk(*facts, "vdd")->disk.kind, DiskKind::kVolume);
  EXPECT_TRUE(disk(*facts, "vde")->disk.shareable);
  EXPECT_TRUE(disk(*facts, "vdf")->encrypted);
  EXPECT_EQ(disk(*facts, "vdg")->disk.format, "vmdk");
  EXPECT_TRUE(disk(*facts, "vdh")->transient);
  EXPECT_EQ(disk(*facts, "sda")->disk.device, DiskDevice::kLun);
  EXPECT_TRUE(disk(*facts, "sdc")->disk.path.empty());
  EXPECT_EQ(facts->secrets.size(), 2u);
  ASSERT_EQ(facts->interfaces.size(), 5u);
  EXPECT_EQ(facts->interfaces[0].source, "default");
  EXPECT_EQ(facts->interfaces[2].type, "direct");
  EXPECT_EQ(facts->interfaces[2].source, "eth0");
  EXPECT_EQ(facts->interfaces[3].type, "user");
  EXPECT_EQ(facts->interfaces[4].port_type, "openvswitch");
  ASSERT_EQ(facts->host_devices.size(), 2u);
  EXPECT_EQ(facts->host_devices[0].label, "pci 0000:03:00.0");
  EXPECT_EQ(facts->host_devices[1].label, "usb 0x1234:0xbeef");
  ASSERT_EQ(facts->filesystems.size(), 1u);
  EXPECT_EQ(facts->filesystems[0].driver, "9p");
  EXPECT_EQ(facts->filesystems[0].source, "/srv/share");
  EXPECT_EQ(facts->shared_memories, std::vector<std::string>{"shm0"});
  EXPECT_EQ(facts->graphics.at(0).addresses, std::vector<std::string>{"10.77.0.1"});
  EXPECT_TRUE(facts->graphics.at(1).addresses.empty());
  EXPECT_TRUE(facts->huge_pages);
  EXPECT_FALSE(facts->shared_memory);
  EXPECT_TRUE(facts->fixed_numa);
  EXPECT_TRUE(facts->qemu_commandline);
  EXPECT_EQ(facts->cpu_mode, "host-passthrough");
}

TEST(DomainXml, ReadsLabelsFromTheMetadataOfDroverAlone) {
  const auto labels = [](const std::string& metadata) {
    const auto facts =
        parse_domain("<domain><name>web01</name><metadata>" + metadata + "</metadata></domain>");
    EXPECT_TRUE(facts) << facts.error().text();
    return facts->vm.labels;
  };
  using Labels = std::vector<std::string>;
  // As `virsh metadata web01 urn:drover:labels:1 --key drover --set …` leaves it.
  EXPECT_EQ(labels("<drover:labels xmlns:drover='urn:drover:labels:1'><label>web</label>"
                   "<label>app=db-1</label><label>web</label></drover:labels>"),
            (Labels{"app=db-1", "web"}));
  EXPECT_EQ(labels("<d:labels xmlns:d='urn:drover:labels:1'><d:label>a</d:label></d:labels>"),
            Labels{"a"});
  EXPECT_EQ(labels("<labels xmlns='urn:drover:labels:1'><label>a</label></labels>"), Labels{"a"});
  EXPECT_EQ(labels("<x:labels xmlns:x='urn:other'><label>a</label></x:labels>"), Labels{});
  EXPECT_EQ(labels("<labels><label>a</label></labels>"), Labels{});
  EXPECT_EQ(labels("<d:labels xmlns:d='urn:drover:labels:1'><label>-a</label><label>a b</label>"
                   "<label>" +
                   std::string(64, 'a') + "</label><label/><other>b</other></d:labels>"),
            Labels{})
      << "none of it is a label";
  std::string many;
  for (int i = 0; i < 100; ++i) many += "<label>l" + std::to_string(i) + "</label>";
  EXPECT_EQ(labels("<d:labels xmlns:d='urn:drover:labels:1'>" + many + "</d:labels>").size(), 64u);
}

TEST(DomainXml, SurvivesARoundTrip) {
  for (const std::string name : {"plain_live", "uefi_live", "uefi_persistent", "rich_persistent"}) {
    const std::string text = dump(name);
    const auto adapted = adapt_definition(text, {}, "");
    ASSERT_TRUE(adapted) << name;
    const auto before = xml::parse(text, "domain"), after = xml::parse(*adapted, "domain");
    ASSERT_TRUE(before && after);
    expect_same(before->document_element(), after->document_element(), name);
    EXPECT_EQ(adapt_definition(*adapted, {}, "").value_or(""), *adapted);
  }
}

TEST(AdaptDefinition, ChangesOnlyWhereDisksAndNvramLie) {
  const std::string text = dump("uefi_live");
  std::vector<DiskPlacement> placements(3);
  placements[0].target = "vda";
  placements[0].destination_path = "/srv/größer & 'mehr'/top.qcow2";
  placements[1].target = "vdb";
  placements[1].destination_path = "/srv/data.img";
  placements[2].target = "vdc";
  placements[2].destination_path = "/srv/vol.qcow2";
  const auto adapted = adapt_definition(text, placements, "/srv/nvram.fd");
  ASSERT_TRUE(adapted);
  const auto before = parse_domain(text), after = parse_domain(*adapted);
  ASSERT_TRUE(after) << after.error().text();
  EXPECT_EQ(disk(*after, "vda")->disk.path, "/srv/größer & 'mehr'/top.qcow2");
  EXPECT_EQ(disk(*after, "vdb")->disk.path, "/srv/data.img");
  EXPECT_EQ(disk(*after, "vdc")->disk.kind, DiskKind::kFile);
  EXPECT_EQ(disk(*after, "vdc")->disk.path, "/srv/vol.qcow2");
  EXPECT_EQ(disk(*after, "vdc")->pool, "");
  EXPECT_EQ(disk(*after, "sda")->disk.path, disk(*before, "sda")->disk.path);
  EXPECT_EQ(after->vm.nvram_path, "/srv/nvram.fd");
  EXPECT_EQ(after->nvram_template, before->nvram_template);
  EXPECT_EQ(after->interfaces.size(), before->interfaces.size());
  EXPECT_NE(adapted->find("<serial>ABC</serial>"), std::string::npos);
  EXPECT_NE(adapted->find("keep me"), std::string::npos);
}

TEST(AdaptDefinition, DropsBackingFilesAndUnfinishedJobs) {
  const std::string text =
      "<domain><name>x</name><devices><disk type='file'><driver type='qcow2'/><source file='/a' "
      "index='3'/><backingStore type='file'><format type='raw'/><source "
      "file='/base'/><backingStore/>"
      "</backingStore><mirror type='file' job='copy'><source file='/c'/></mirror><target "
      "dev='vda'/></disk>"
      "</devices></domain>";
  const auto before = parse_domain(text);
  ASSERT_TRUE(before);
  EXPECT_EQ(disk(*before, "vda")->disk.backing_chain, std::vector<std::string>{"/base"});
  EXPECT_EQ(disk(*before, "vda")->job, "copy");
  DiskPlacement placement;
  placement.target = "vda";
  placement.destination_path = "/b";
  const auto adapted = adapt_definition(text, {&placement, 1}, "");
  ASSERT_TRUE(adapted);
  EXPECT_EQ(
      *adapted,
      "<domain><name>x</name><devices><disk type='file'><driver type='qcow2'/><source file='/b' "
      "index='3'/><target dev='vda'/></disk></devices></domain>");
}

TEST(AdaptDefinition, SaysAFormatThatTheDiskDidNotSay) {
  DiskPlacement placement;
  placement.target = "vda";
  placement.destination_path = "/b";
  placement.format = "raw";
  const std::string head = "<domain><name>x</name><devices><disk type='file'>";
  const std::string text =
      head + "<source file='/a'/><target dev='vda'/></disk></devices></domain>";
  EXPECT_EQ(adapt_definition(text, {&placement, 1}, "").value_or("").find("driver"),
            std::string::npos);
  placement.format = "qcow2";
  EXPECT_NE(adapt_definition(text, {&placement, 1}, "")
                .value_or("")
                .find("<driver type='qcow2'/><source file='/b'/>"),
            std::string::npos);
}

TEST(AdaptDefinition, AVolumeIsADeviceOfWhichSoMuchIsTheDisk) {
  const std::string file =
      "<domain><name>x</name><devices><disk type='file'><driver type='qcow2'/><source "
      "file='/a.qcow2'/><target dev='vda'/></disk></devices></domain>";
  DiskPlacement placement;
  placement.target = "vda";
  placement.format = "raw";
  placement.virtual_size = mib(96);
  placement.destination_path = "/dev/vg/x-vda";
  placement.destination_pool = "vg";
  const auto device = adapt_definition(file, {&placement, 1}, "");
  ASSERT_TRUE(device);
  EXPECT_EQ(*device,
            "<domain><name>x</name><devices><disk type='block'><driver type='raw'/><source "
            "dev='/dev/vg/x-vda'><slices><slice type='storage' offset='0' "
            "size='100663296'/></slices></source><target dev='vda'/></disk></devices></domain>");
  const auto facts = parse_domain(*device);
  ASSERT_TRUE(facts);
  EXPECT_EQ(disk(*facts, "vda")->slice, mib(96));
  EXPECT_FALSE(disk(*facts, "vda")->slice_within);
  placement.destination_path = "/a.qcow2";
  placement.destination_pool.clear();
  placement.format = "qcow2";
  EXPECT_EQ(adapt_definition(*device, {&placement, 1}, "").value_or(""), file);
}

TEST(AdaptDefinition, RefusesAPlacementOfNoDisk) {
  DiskPlacement placement;
  placement.target = "vdz";
  const auto adapted = adapt_definition("<domain><name>x</name></domain>", {&placement, 1}, "");
  ASSERT_FALSE(adapted);
  EXPECT_EQ(adapted.error().code, ErrorCode::kInvalidArgument);
}

TEST(DomainXml, RefusesWhatIsNoDefinition) {
  std::string deep = "<domain><name>x</name>";
  for (int i = 0; i < 1000; ++i) deep += "<a>";
  for (int i = 0; i < 1000; ++i) deep += "</a>";
  deep += "</domain>";
  const std::string large =
      "<domain><name>" + std::string(kDefinitionBytesMax, 'x') + "</name></domain>";
  for (const std::string& text :
       {std::string(), std::string("<domain>"), std::string("<domain/>"),
        std::string("<pool><name>x</name></pool>"),
        std::string("<domain><name>\x1b[31m</name></domain>"),
        std::string("<domain><name>&#27;</name></domain>"),
        std::string("<domain><name>&#x1B;</name></domain>"),
        std::string("<domain><name>x\0y</name></domain>", 34), deep, large}) {
    const auto facts = parse_domain(text);
    ASSERT_FALSE(facts) << text.substr(0, 80);
    EXPECT_EQ(facts.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(DomainXml, SaturatesWhereASizeOverflows) {
  const auto facts =
      parse_domain("<domain><name>x</name><memory unit='TiB'>99999999999</memory></domain>");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->vm.memory.bytes, ~std::uint64_t{0});
}

TEST(DomainXml, TellsWhetherOthersMayMapItsMemory) {
  const auto shared = [](const std::string& inside) {
    return parse_domain("<domain><name>x</name>" + inside + "</domain>")->shared_memory;
  };
  EXPECT_FALSE(shared(""));
  EXPECT_FALSE(shared("<memoryBacking><source type='anonymous'/></memoryBacking>"));
  EXPECT_TRUE(shared("<memoryBacking><source type='memfd'/></memoryBacking>"));
  EXPECT_TRUE(shared("<memoryBacking><access mode='shared'/></memoryBacking>"));
  EXPECT_TRUE(shared("<cpu><numa><cell id='0' memAccess='shared'/></numa></cpu>"));
}

TEST(CpuElement, IsEmptyWhereThereIsNone) {
  EXPECT_EQ(cpu_element("<domain><name>x</name></domain>").value(), "");
  EXPECT_TRUE(cpu_element(dump("uefi_live")).value().starts_with("<cpu mode='custom'"));
}

}  // namespace
}  // namespace drover
