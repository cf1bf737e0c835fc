// SPDX-License-Identifier: Apache-2.0
// What else comes with a quick or offline move: the files that disks stand on, a TPM's state, UEFI
// variables.
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "hypervisor/backing_chain.h"
#include "hypervisor/program.h"
#include "move/destination/destination_cold_fixture.h"
#include "move/residue/quarantine.h"
#include "net/digest.h"

namespace drover::move {
namespace {

// A disk on a layer that this host does not have: both come as they are.
class ColdChain : public ColdDestination {
 protected:
  void SetUp() override {
    ColdDestination::SetUp();
    images_ = folder_ / "images";
    std::filesystem::create_directories(images_);
    ASSERT_TRUE(
        book_->change_settings({{"allowed-folders", SettingChange::Op::kAdd, images_.string()}}));
    base_ = std::string(200'000, 'b');
  }
  std::string there(const char* name) const { return (images_ / name).string(); }
  std::string image_on(const std::string& below) {
    const std::string path = (folder_ / "image").string();
    EXPECT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F",
                                           "raw", "-b", below, path, "8M"}}));
    std::ifstream content(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(content), {}};
  }
  ReserveRequest chain() const {
    ReserveRequest request = offline();
    request.plan.placements = {
        {"vda", "/a/top", there("top"), "qcow2", mib(8), mib(1), kib(64), false}};
    request.plan.files = {{"vda", "/a/base", there("base"), "raw", mib(8), mib(1), {}}};
    return request;
  }
  // Gives the image as it was sent.
  std::string send_chain(const std::string& below = "/a/base") {
    reserve_and_prepare(chain());
    const std::string image = image_on(below);
    deliver(base_);
    deliver(image);
    return image;
  }
  Result<std::string> arrive_with(const std::string& base, const std::string& image) {
    ArriveRequest request{
        kMove,
        {{"file " + there("base"), net::sha256_hex(base)}, {"image vda", net::sha256_hex(image)}},
        ""};
    return side_->handle("host1", verb::kArrive, to_json(request));
  }

  std::filesystem::path images_;
  std::string base_;
};

TEST_F(ColdChain, ComesAsItIs) {
  const std::string image = send_chain();
  const auto said = arrive_with(base_, image);
  ASSERT_TRUE(said) << said.error().text();
  EXPECT_EQ(answer_from_json(*said)->kind, Answer::Kind::kRuns);
  EXPECT_EQ(backing_chain_of(there("top"), "qcow2"), std::vector<std::string>{there("base")});
  EXPECT_EQ(std::filesystem::file_size(there("base")), base_.size());
}

TEST_F(ColdChain, WhatIsNotWhatWasSentIsNotTaken) {
  const std::string image = send_chain();
  EXPECT_EQ(arrive_with(base_, image + "x").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_TRUE(std::filesystem::is_empty(images_));
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdChain, WhatAnotherVmStandsOnStays) {
  send_chain();
  ASSERT_TRUE(hypervisor_.define(
      "<domain type='kvm'><name>web02</name><uuid>00000000-0000-0000-0000-000000000002</uuid>"
      "<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><disk type='file' "
      "device='disk'><driver type='qcow2'/><source file='/b/other'/><backingStore "
      "type='file'><format type='raw'/><source file='" +
      there("base") + "'/><backingStore/></backingStore><target dev='vda'/></disk></devices>" +
      "</domain>"));
  EXPECT_TRUE(*is_used(*world_, there("base"), kUuid));
  EXPECT_FALSE(*is_used(*world_, there("top"), kUuid));
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_FALSE(std::filesystem::exists(there("top")));
  EXPECT_TRUE(std::filesystem::exists(there("base")));
}

// A libvirt that says nothing has not said that another VM stands on it.
TEST_F(ColdChain, WhoStandsOnALayerIsNotGuessed) {
  hypervisor_.set_answering(false);
  EXPECT_FALSE(is_used(*world_, there("base"), kUuid));
}

TEST_F(ColdChain, AnImageThatNamesAFileOfThisHostIsNotTaken) {
  const std::string image = send_chain("/etc/shadow");
  EXPECT_EQ(arrive_with(base_, image).error().code, ErrorCode::kPolicy);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdChain, NothingIsWrittenOverAFile) {
  std::ofstream(there("base")) << "another";
  ASSERT_TRUE(reserve(chain()));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict);
  EXPECT_EQ(std::filesystem::file_size(there("base")), 7u);
  EXPECT_FALSE(std::filesystem::exists(there("top")));
}

// The journal fails once the empty file is gone: it is asked again.
TEST_F(ColdDestination, ATpmThatNeverHadAStateIsTakenAgain) {
  ReserveRequest with_tpm = offline();
  std::string& definition = with_tpm.destination_xml;
  definition.insert(definition.find("</domain>"),
                    "<devices><tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
                    "</devices>");
  with_tpm.persistent_xml = definition;
  reserve_and_prepare(with_tpm);
  const std::string place = tpm_state_place((folder_ / "swtpm").string(), kUuid, "tpm2-00.permall");
  EXPECT_TRUE(std::filesystem::exists(place));
  deliver("");
  const std::string request = to_json(ArriveRequest{kMove, {{"tpm", net::sha256_hex("")}}, ""});
  ASSERT_TRUE(database_->run("ALTER TABLE jobs RENAME TO away"));
  EXPECT_FALSE(side_->handle("host1", verb::kArrive, request));
  EXPECT_FALSE(std::filesystem::exists(place));
  ASSERT_TRUE(database_->run("ALTER TABLE away RENAME TO jobs"));
  const auto said = side_->handle("host1", verb::kArrive, request);
  ASSERT_TRUE(said) << said.error().text();
  EXPECT_EQ(answer_from_json(*said)->kind, Answer::Kind::kRuns);
}

TEST_F(ColdDestination, APeerCannotNameAnotherPlaceForUefiVariables) {
  ReserveRequest request = offline();
  request.plan.nvram_destination = (folder_ / "somewhere").string();
  ASSERT_TRUE(reserve(request));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kPolicy);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "somewhere"));
}

}  // namespace
}  // namespace drover::move
