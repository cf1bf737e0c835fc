// SPDX-License-Identifier: Apache-2.0
#include "archive/manifest.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "json/fields.h"
#include "net/digest.h"

namespace drover::archive {
namespace {

using Json = nlohmann::json;

const std::string kHash = "sha256-mib:" + std::string(64, 'a');

Manifest sample() {
  Manifest manifest;
  manifest.vm_name = "web 01 \"ä\"";
  manifest.vm_uuid = "11111111-2222-4333-8444-555555555555";
  manifest.running = true;
  manifest.host = "host1";
  manifest.drover_version = "1.0";
  manifest.libvirt_version = 9'000'000;
  manifest.qemu_version = 7'002'022;
  manifest.made_at = std::chrono::system_clock::time_point(std::chrono::seconds(1'000'000));
  manifest.items = {{"vda", "vda.qcow2", "/images/a.qcow2", "qcow2", gib(1), {4096}, kHash},
                    {"nvram", "nvram.fd", "/nvram/a", "", {}, {512}, kHash},
                    {"definition", "definition.xml", "", "", {}, {100}, kHash}};
  return manifest;
}

// As somebody would write it who knows how the checksum is made.
std::string forged(const std::function<void(Json&)>& edit) {
  Json tree = Json::parse(manifest_text(sample()));
  edit(tree);
  tree.erase("checksum");
  tree["checksum"] = net::sha256_hex(json::dump(tree));
  return tree.dump();
}

TEST(Manifest, IsReadAsItWasWritten) {
  const auto read = read_manifest(manifest_text(sample()));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(manifest_text(*read), manifest_text(sample()));
  EXPECT_EQ(read->qemu_version, 7'002'022u);
  ASSERT_NE(find_item(*read, "vda"), nullptr);
  EXPECT_EQ(find_item(*read, "vda")->virtual_size, gib(1));
  EXPECT_EQ(find_item(*read, "vdb"), nullptr);
}

TEST(Manifest, OneThatWasChangedIsRefused) {
  std::string text = manifest_text(sample());
  text.replace(text.find("host1"), 5, "host2");
  const auto read = read_manifest(text);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(read.error().message.find("checksum"), std::string::npos);
}

TEST(Manifest, ALaterVersionIsToldApart) {
  const auto read = read_manifest(forged([](Json& tree) { tree["version"] = 2; }));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("newer Drover"), std::string::npos);
}

TEST(Manifest, HostileOnesAreRefused) {
  const auto item = [](const char* member, const Json& value) {
    return forged([&](Json& tree) { tree["items"][0][member] = value; });
  };
  for (const std::string& text : {
           item("file", "../../etc/shadow"),
           item("file", "/etc/shadow"),
           item("file", ".."),
           item("file", ".hidden"),
           item("file", "a/b"),
           item("file", ""),
           item("file", std::string("a\0b", 3)),
           item("file", std::string(200, 'a')),
           item("file", "drover-export.json"),
           item("file", "nvram.fd"),
           item("item", "definition"),
           item("item", "../x"),
           item("item", "nvram"),
           item("format", "vmdk"),
           item("hash", "sha256-mib:xyz"),
           item("hash", ""),
           item("size_bytes", -1),
           item("size_bytes", "many"),
           forged([](Json& tree) { tree["items"].erase(2); }),
           forged([](Json& tree) { tree["items"] = Json::object(); }),
           forged([](Json& tree) { tree["format"] = "zip"; }),
           forged([](Json& tree) { tree["version"] = "1"; }),
           forged([](Json& tree) {
             const Json one = tree["items"][0];
             for (int i = 0; i < 300; ++i) {
               tree["items"].push_back(one);
               tree["items"].back()["item"] = "vd" + std::to_string(i);
               tree["items"].back()["file"] = "vd" + std::to_string(i);
             }
           }),
           std::string("[]"),
           std::string("{}"),
           std::string(),
           std::string("{\"format\":\"drover-export\"}"),
           std::string(2u << 20, ' '),
       }) {
    const auto read = read_manifest(text);
    ASSERT_FALSE(read) << text.substr(0, 200);
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << text.substr(0, 200);
  }
}

}  // namespace
}  // namespace drover::archive
