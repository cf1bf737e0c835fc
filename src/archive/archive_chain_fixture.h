// SPDX-License-Identifier: Apache-2.0
// A VM whose disk is based on what it was at a checkpoint, for tests of what travels with that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "archive/archive_test_support.h"

namespace drover::archive {

inline void replace(std::string& text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  ASSERT_NE(place, std::string::npos) << from;
  text.replace(place, from.size(), to);
}

// vdb is web01.clean, which is based on web01.qcow2: what it was at the checkpoint.
class ArchivedChain : public Archives {
 protected:
  void SetUp() override {
    Archives::SetUp();
    ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", base(),
                                           "-F", "qcow2", top()}}));
    ASSERT_TRUE(
        run_program({.arguments = {"qemu-io", "-f", "qcow2", "-c", "write -P 9 4M 1M", top()}}));
    ASSERT_TRUE(hypervisor_.define(described(top())));
    ASSERT_TRUE(hypervisor_.know_checkpoints(
        kUuid, std::vector<CheckpointText>{{"clean", checkpoint(base()), true}}));
  }
  std::string base() const { return at("images/web01.qcow2"); }
  std::string top() const { return at("images/web01.clean"); }
  std::string described(const std::string& vdb) const {
    std::string xml = definition();
    const std::size_t drive = xml.find("<disk type='file' device='cdrom'>");
    xml.erase(drive, xml.find("<interface", drive) - drive);
    replace(xml, at("images/web01.qcow2"), vdb);
    return xml;
  }
  std::string checkpoint(const std::string& vdb) const {
    return "<domainsnapshot><name>clean</name><state>shutoff</state><creationTime>1</creationTime>"
           "<memory snapshot='no'/><disks><disk name='vda' snapshot='no'/><disk name='vdb' "
           "snapshot='external' type='file'><driver type='qcow2'/><source file='" +
           top() + "'/></disk></disks>" + described(vdb) + "</domainsnapshot>";
  }
  static std::vector<std::string> chain(const std::string& path) {
    std::vector<std::string> all{path};
    const auto facts = image_facts(path, "qcow2");
    EXPECT_TRUE(facts) << facts.error().text();
    if (facts) all.insert(all.end(), facts->backing_chain.begin(), facts->backing_chain.end());
    return all;
  }
  std::vector<CheckpointText> known(const std::string& uuid) {
    return hypervisor_.checkpoints(uuid).value_or(std::vector<CheckpointText>{});
  }
  void forget() {
    ASSERT_TRUE(hypervisor_.forget_checkpoints(kUuid));
    forget_vm();
  }
  // Whether a restore leaves the checkpoint behind, if this stands in its text for that.
  bool is_left(const std::string& folder, const std::string& from, const std::string& to) {
    std::string honest;
    forge(folder, [&](Manifest& manifest) {
      honest = manifest.checkpoints.at(0).xml;
      replace(manifest.checkpoints[0].xml, from, to);
    });
    const bool left = has(imported(folder, ImportMode::kRestore), "CHECKPOINTS_LEFT");
    forge(folder, [&](Manifest& manifest) { manifest.checkpoints.at(0).xml = honest; });
    return left;
  }
};

}  // namespace drover::archive
