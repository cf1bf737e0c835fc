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
  const auto read =
      read_manifest(forged([](Json& tree) { tree["version"] = kManifestVersion + 1; }));
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

TEST(Manifest, HasTheLowestVersionThatKnowsItsMembers) {
  const auto version = [](const Manifest& manifest) {
    const std::string text = manifest_text(manifest);
    const auto read = read_manifest(text);
    EXPECT_TRUE(read) << read.error().text();
    return Json::parse(text).at("version").get<unsigned>();
  };
  EXPECT_EQ(version(sample()), 1u);
  Manifest chain = sample();
  chain.items.push_back({"vda.1", "vda.1.qcow2", "/images/b", "qcow2", gib(1), {4096}, kHash});
  chain.items.push_back({"vda.2", "vda.2.img", "/images/c", "raw", gib(1), {4096}, kHash});
  EXPECT_EQ(version(chain), 2u);
  ASSERT_NE(item_below(chain.items, "vda.1"), nullptr);
  EXPECT_EQ(item_below(chain.items, "vda.1")->item, "vda.2");
  EXPECT_EQ(item_below(chain.items, "vda.2"), nullptr);
  EXPECT_EQ(item_below(chain.items, "definition"), nullptr);
  Manifest tpm = sample();
  tpm.items.push_back({"tpm", "tpm2-00.permall", "/tpm", "", {}, {100}, kHash});
  EXPECT_EQ(version(tpm), 2u);
  Manifest checkpoints = sample();
  checkpoints.checkpoints = {{"clean", "<domainsnapshot/>", true}};
  EXPECT_EQ(version(checkpoints), 2u);
  const auto read = read_manifest(manifest_text(checkpoints));
  EXPECT_EQ(read->checkpoints.at(0).xml, "<domainsnapshot/>");
  EXPECT_TRUE(read->checkpoints[0].current);
}

TEST(Manifest, LayersHangTogether) {
  const auto refused = [](const std::string& item, const std::string& format) {
    Manifest manifest = sample();
    manifest.items.push_back({item, "x.qcow2", "", format, gib(1), {4096}, kHash});
    return !read_manifest(manifest_text(manifest));
  };
  EXPECT_FALSE(refused("vda.1", "qcow2"));
  EXPECT_TRUE(refused("vda.2", "qcow2")) << "nothing between";
  EXPECT_TRUE(refused("vdb.1", "qcow2")) << "no disk";
  for (const char* item :
       {"vda.0", "vda.01", "vda.", "vda.1x", "vda.-1", ".1", "vda.1.1", "vda.99999999999"}) {
    EXPECT_TRUE(refused(item, "qcow2")) << item;
  }
  Manifest raw = sample();
  raw.items[0].format = "raw";
  raw.items.push_back({"vda.1", "x.qcow2", "", "qcow2", gib(1), {4096}, kHash});
  EXPECT_FALSE(read_manifest(manifest_text(raw))) << "a raw image is based on nothing";
}

TEST(Manifest, ChecksItsCheckpoints) {
  for (const char* list : {"{}", "[1]", "[{\"name\":\"a\"}]", "\"x\""}) {
    const auto read =
        read_manifest(forged([&](Json& tree) { tree["checkpoints"] = Json::parse(list); }));
    EXPECT_FALSE(read) << list;
  }
}

}  // namespace
}  // namespace drover::archive
