// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapt_cpu.h"

#include <gtest/gtest.h>

#include "hypervisor/domain_xml.h"

namespace drover {
namespace {

constexpr const char* kWanted =
    "<cpu mode='custom' match='exact'><model fallback='allow'>Haswell-noTSX</model><vendor>Intel"
    "</vendor><feature policy='require' name='pcid'/><feature policy='disable' "
    "name='x2apic'/></cpu>";

std::string domain(const std::string& cpu) {
  return "<domain type='kvm'><name>web01</name><os><type>hvm</type></os>" + cpu +
         "<devices/></domain>";
}

TEST(CpuDefinition, HasNothingOfTheVmButItsCpu) {
  const auto text = cpu_definition(
      "<domain type='kvm'><name>web01</name><uuid>6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab</uuid>"
      "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader>/fw</loader></os>"
      "<cpu mode='custom'><model>Haswell</model></cpu><devices><graphics type='vnc' "
      "passwd='secret'/></devices></domain>");
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text,
            "<domain type='kvm'><name>cpu</name><os><type arch='x86_64' "
            "machine='pc-q35-7.2'>hvm</type></os><cpu mode='custom'><model>Haswell</model></cpu>"
            "</domain>");
  EXPECT_TRUE(parse_domain(*text));
  EXPECT_TRUE(cpu_definition("<domain><name>x</name></domain>"));
  EXPECT_FALSE(cpu_definition("<domain"));
}

TEST(AdaptCpu, KeepsHowTheGuestsProcessorsAreDivided) {
  const auto text = adapt_cpu(
      domain("<cpu mode='host-passthrough' check='none' migratable='on'>\n  <topology sockets='1' "
             "cores='4' threads='2'/>\n  <feature policy='require' name='avx512f'/>\n  <numa><cell "
             "id='0' cpus='0-7'/></numa>\n</cpu>"),
      kWanted);
  ASSERT_TRUE(text) << text.error().text();
  const auto cpu = cpu_element(*text);
  const auto read = read_cpu(*cpu);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->mode, "custom");
  EXPECT_EQ(read->model, "Haswell-noTSX");
  EXPECT_EQ(read->features,
            (std::map<std::string, std::string>{{"pcid", "require"}, {"x2apic", "disable"}}));
  for (const char* kept : {"cores='4'", "<cell id='0'", "fallback='forbid'", "<vendor>Intel"})
    EXPECT_TRUE(cpu->contains(kept)) << *cpu;
  for (const char* gone : {"avx512f", "migratable", "check="})
    EXPECT_FALSE(cpu->contains(gone)) << *cpu;
}

TEST(AdaptCpu, GivesOneToADefinitionWithoutAny) {
  const auto text = adapt_cpu(domain(""), kWanted);
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_TRUE(text->contains("</os><cpu mode='custom' match='exact'><model")) << *text;
  const auto back = replace_cpu(*text, "");
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, domain(""));
}

TEST(ReplaceCpu, BringsTheFormerBack) {
  const std::string former = "<cpu mode='host-model' check='partial'/>";
  const auto adapted = adapt_cpu(domain(former), kWanted);
  const auto back = replace_cpu(*adapted, former);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, domain(former));
  EXPECT_FALSE(adapt_cpu(domain(""), "<domain/>"));
}

TEST(SameCpu, LooksAtElementsAndNotAtTheirLayout) {
  EXPECT_TRUE(same_cpu("<cpu a='1' b='2'><model>X</model><feature name='y'/></cpu>",
                       "<cpu b='2' a='1'>\n  <feature name='y'/>\n  <model>X</model>\n</cpu>"));
  EXPECT_FALSE(same_cpu("<cpu><model>X</model></cpu>", "<cpu><model>Y</model></cpu>"));
  EXPECT_FALSE(same_cpu("<cpu><model/></cpu>", ""));
  EXPECT_TRUE(same_cpu("", ""));
}

}  // namespace
}  // namespace drover
