// SPDX-License-Identifier: Apache-2.0
#include "gate/strict_xml.h"

#include <gtest/gtest.h>

#include "gate/definition_policy.h"
#include "gate/definition_test_support.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's

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
      "<domain><os a='0<!DOCTYPEx'/></domain>",
      "<domain><os a='a&b'/></domain>",
      "<domain><title>a & b</title></domain>",
      "<domain><title>&nbsp;</title></domain>",
      "<domain><title>&#;&#x;&#xg;</title></domain>",
  };
  for (const std::string& xml : wrong) EXPECT_FALSE(host_references(xml)) << xml;
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<domain>";
  EXPECT_FALSE(host_references(deep));
  for (int i = 0; i < 100000; ++i) deep += "</domain>";
  EXPECT_FALSE(host_references(deep));
}

TEST(StrictXml, ReadsReferences) {
  const auto parsed = parse_strictly("<domain a='&lt;&#65;&#x42;'>&amp;&gt;&quot;&apos;</domain>");
  ASSERT_TRUE(parsed);
  EXPECT_STREQ(parsed->document_element().attribute("a").value(), "<AB");
  EXPECT_EQ(element_text(parsed->document_element()), "&>\"'");
}

TEST(StrictXml, PassesCommentsInMetadataOnly) {
  EXPECT_TRUE(host_references(domain("<metadata><x><!-- a --><![CDATA[b]]></x></metadata>")));
  EXPECT_FALSE(host_references(domain("<devices><metadata><!-- a --></metadata></devices>")));
}

}  // namespace
}  // namespace drover::gate
