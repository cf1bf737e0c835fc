// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/checkpoint_xml.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

// As libvirt 9.0 gives it, with fewer devices.
constexpr const char* kExternal = R"(<domainsnapshot>
  <name>before</name>
  <state>disk-snapshot</state>
  <parent>
    <name>clean</name>
  </parent>
  <creationTime>1700000000</creationTime>
  <memory snapshot='external' file='/images/web.before.mem'/>
  <disks>
    <disk name='vda' snapshot='external' type='file'>
      <driver type='qcow2'/>
      <source file='/images/web.before'/>
    </disk>
    <disk name='vdb' snapshot='internal'/>
    <disk name='vdc' snapshot='no'/>
  </disks>
  <domain type='qemu'>
    <name>web</name>
    <os><nvram>/nvram/web_VARS.fd</nvram></os>
    <devices>
      <disk type='file' device='disk'>
        <source file='/images/web.qcow2'/>
        <backingStore type='file'><source file='/images/base.raw'/></backingStore>
        <target dev='vda' bus='virtio'/>
      </disk>
      <serial type='file'><source path='/images/web.qcow2'/></serial>
    </devices>
  </domain>
  <inactiveDomain type='qemu'>
    <name>web</name>
    <devices><disk type='file'><source file='/images/web.qcow2'/></disk></devices>
  </inactiveDomain>
  <cookie><cpu mode='custom'/><slirpHelper/></cookie>
</domainsnapshot>)";

TEST(CheckpointXml, TellsWhatHoldsACheckpoint) {
  const auto read = parse_checkpoint({"before", kExternal, true});
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->name, "before");
  EXPECT_EQ(read->parent, "clean");
  EXPECT_EQ(read->made_at.time_since_epoch(), std::chrono::seconds(1700000000));
  EXPECT_TRUE(read->current);
  EXPECT_EQ(read->external_disks, std::vector<std::string>{"vda"});
  EXPECT_EQ(read->internal_disks, std::vector<std::string>{"vdb"});
  EXPECT_EQ(read->memory_file, "/images/web.before.mem");
}

TEST(CheckpointXml, TakesATimeBeyondAllClocksForTheLatest) {
  const auto made = [](const std::string& time) {
    CheckpointText text;
    text.xml =
        "<domainsnapshot><name>a</name><creationTime>" + time + "</creationTime></domainsnapshot>";
    return parse_checkpoint(text)->made_at.time_since_epoch();
  };
  EXPECT_EQ(made("1700000000"), std::chrono::seconds(1'700'000'000));
  EXPECT_GT(made("9223372036854775807"), made("1700000000"));
  EXPECT_EQ(made("-9223372036854775808").count(), 0);
}

TEST(CheckpointXml, NamesEveryFileOfItsDisksAndMemory) {
  const auto paths = checkpoint_paths(kExternal);
  ASSERT_TRUE(paths) << paths.error().text();
  const std::vector<std::string> expected{"/images/base.raw", "/images/web.before",
                                          "/images/web.before.mem", "/images/web.qcow2",
                                          "/nvram/web_VARS.fd"};
  EXPECT_EQ(*paths, expected);
}

TEST(CheckpointXml, IsAdaptedToWhereItsFilesLieAndNothingElse) {
  const auto adapted = adapt_checkpoint(kExternal, {{"/images/web.qcow2", "/srv/web.qcow2"},
                                                    {"/images/web.before.mem", "/srv/mem"},
                                                    {"/nvram/web_VARS.fd", "/other/VARS.fd"}});
  ASSERT_TRUE(adapted) << adapted.error().text();
  const auto paths = checkpoint_paths(*adapted);
  const std::vector<std::string> expected{"/images/base.raw", "/images/web.before",
                                          "/other/VARS.fd", "/srv/mem", "/srv/web.qcow2"};
  EXPECT_EQ(*paths, expected);
  EXPECT_NE(adapted->find("<source path='/images/web.qcow2'"), std::string::npos)
      << "a serial port's file is no disk";
  EXPECT_EQ(*adapt_checkpoint(kExternal, {}), *adapt_checkpoint(kExternal, {{"/a", "/b"}}));
}

TEST(CheckpointXml, GivesItsDefinitionsForJudgement) {
  const auto definitions = checkpoint_definitions(kExternal);
  ASSERT_TRUE(definitions) << definitions.error().text();
  ASSERT_EQ(definitions->size(), 2u);
  for (const std::string& definition : *definitions)
    EXPECT_TRUE(definition.starts_with("<domain "));
}

TEST(CheckpointXml, RefusesWhatItDoesNotKnow) {
  for (const char* more : {"<runs><emulator>/tmp/evil</emulator></runs>",
                           "<cookie><cpu/><helper>/tmp/evil</helper></cookie>"}) {
    const std::string xml =
        std::string("<domainsnapshot><name>a</name>") + more + "</domainsnapshot>";
    const auto refused = checkpoint_definitions(xml);
    ASSERT_FALSE(refused) << more;
    EXPECT_EQ(refused.error().code, ErrorCode::kPolicy);
  }
  EXPECT_FALSE(parse_checkpoint({"a", "<domainsnapshot/>", false}));
  EXPECT_FALSE(parse_checkpoint({"a", "<domain><name>a</name></domain>", false}));
}

}  // namespace
}  // namespace drover
