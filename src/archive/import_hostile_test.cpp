// SPDX-License-Identifier: Apache-2.0
// Imports of folders that were damaged, tampered with, or made by an attacker.
#include "archive/archive_test_support.h"

namespace drover::archive {
namespace {

TEST_F(Archives, ATamperedImageIsFoundAndNothingIsLeft) {
  const std::string folder = export_it();
  forget_vm();
  std::fstream image(folder + "/vda.img", std::ios::in | std::ios::out | std::ios::binary);
  image.seekp(5 << 20);
  image.put('x');
  image.close();
  for (const ImportMode mode : {ImportMode::kRestore, ImportMode::kRegister, ImportMode::kCopy}) {
    const Archive done = run(imported(folder, mode));
    EXPECT_EQ(done.state, ArchiveState::kFailed);
    ASSERT_TRUE(done.error);
    EXPECT_EQ(done.error->code, ErrorCode::kCorrupt) << done.error->text();
    EXPECT_TRUE(hypervisor_.list_vms()->empty());
    EXPECT_TRUE(files("restored").empty());
  }
}

TEST_F(Archives, WhatIsMissingOrCutIsABlocker) {
  const std::string folder = export_it();
  forget_vm();
  fs::resize_file(folder + "/vdb.qcow2", 100'000);
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  fs::remove(folder + "/vdb.qcow2");
  EXPECT_EQ(blockers(imported(folder, ImportMode::kRestore)),
            std::vector<std::string>{"EXPORT_DAMAGED"});
  EXPECT_EQ(archivist_->start(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kBlocked);
}

TEST_F(Archives, AChangedManifestOrDefinitionIsRefused) {
  const std::string folder = export_it();
  forget_vm();
  std::ofstream(folder + "/definition.xml", std::ios::app) << " ";
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kCorrupt);
  std::ofstream(folder + "/drover-export.json", std::ios::app) << "x";
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kCorrupt);
}

// What an attacker who can write a folder would try.
TEST_F(Archives, AHostileFolderReachesNothing) {
  fs::create_directory(at("exports/evil"));
  const std::string folder = at("exports/evil");
  const auto define = [&](const std::string& from, const std::string& to) {
    std::string xml = definition();
    for (std::size_t place = from.empty() ? std::string::npos : xml.find(from);
         place != std::string::npos; place = xml.find(from, place + to.size())) {
      xml.replace(place, from.size(), to);
    }
    std::ofstream(folder + "/vm.xml", std::ios::trunc) << xml;
  };
  ArchiveRequest request = imported(folder, ImportMode::kCopy);
  request.accepted_codes = {"NOT_VERIFIED", "DISK_READ_ONLY"};
  fs::copy_file(at("images/web01.img"), folder + "/web01.img");
  // An image that is based on a file of the host.
  ASSERT_TRUE(
      run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b",
                                 "/etc/shadow", "-F", "raw", folder + "/web01.qcow2", "32M"}}));
  define("", "");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"IMAGE_NOT_WHOLE"});
  // A link in place of an image.
  fs::remove(folder + "/web01.qcow2");
  fs::create_symlink(at("images/web01.qcow2"), folder + "/web01.qcow2");
  EXPECT_EQ(archivist_->plan(request).error().code, ErrorCode::kPolicy);
  // A disk that is another VM's, on this host.
  fs::remove(folder + "/web01.qcow2");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"EXPORT_DAMAGED"});
  fs::copy_file(at("images/web01.qcow2"), folder + "/web01.qcow2");
  EXPECT_TRUE(blockers(request).empty());
  // Devices and files of the host.
  define("<interface ",
         "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='3' "
         "slot='0' function='0'/></source></hostdev><interface ");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"DEFINITION_REFUSED"});
  define("<interface ",
         "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem>"
         "<interface ");
  EXPECT_EQ(blockers(request), std::vector<std::string>{"DEFINITION_REFUSED"});
  define("<os>", "<os><kernel>/etc/shadow</kernel>");
  EXPECT_NE(blockers(request), std::vector<std::string>{});
  EXPECT_TRUE(files("restored").empty());
  EXPECT_EQ(hypervisor_.list_vms()->size(), 1u);
}

TEST_F(Archives, ACorruptQcow2IsRefusedAndNothingIsLeft) {
  const std::string folder = export_it();
  forget_vm();
  fs::remove(folder + "/drover-export.json");
  std::fstream image(folder + "/vdb.qcow2", std::ios::in | std::ios::out | std::ios::binary);
  image.seekp(196608);
  image.write("\x80\0\0\0\xff\xff\0\0", 8);
  image.close();
  ArchiveRequest request = imported(folder, ImportMode::kRestore);
  request.accepted_codes = {"NOT_VERIFIED"};
  const Archive done = run(request);
  EXPECT_EQ(done.state, ArchiveState::kFailed);
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code, ErrorCode::kCorrupt) << done.error->text();
  EXPECT_TRUE(files("restored").empty());
  EXPECT_TRUE(hypervisor_.list_vms()->empty());
}

// What is absurdly long is not read to its end.
TEST_F(Archives, FilesOfAbsurdLength) {
  const std::string folder = export_it();
  forget_vm();
  fs::resize_file(folder + "/definition.xml", std::uintmax_t{1} << 40);
  EXPECT_EQ(archivist_->plan(imported(folder, ImportMode::kRestore)).error().code,
            ErrorCode::kInvalidArgument);
  fs::remove(folder + "/drover-export.json");
  std::string xml = definition();
  xml.replace(xml.find("</os>"), 5, "<nvram>/x/web01_VARS.fd</nvram></os>");
  std::ofstream(folder + "/definition.xml", std::ios::trunc) << xml;
  std::ofstream(folder + "/nvram.fd");
  ArchiveRequest request = imported(folder, ImportMode::kRestore);
  EXPECT_TRUE(archivist_->plan(request));
  fs::resize_file(folder + "/nvram.fd", kStateMost + 1);
  EXPECT_EQ(archivist_->plan(request).error().code, ErrorCode::kPolicy);
}

}  // namespace
}  // namespace drover::archive
