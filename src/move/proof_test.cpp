// SPDX-License-Identifier: Apache-2.0
// The proof "as sent", both sides: a real image at the source, at the destination the record that
// its mover would have made of the writes that brought it there.
#include <deque>
#include <map>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "content/nbd_stream_fixture.h"
#include "content/write_log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/fake/fake.h"
#include "hypervisor/program.h"
#include "move/destination/destination_side.h"
#include "move/frozen_disk.h"
#include "move/live/live_move.h"
#include "move/world_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kDiskBytes = 5 * content::kChunkBytes + 4096 + 512;
constexpr std::size_t kPiece = 65536;

std::string definition(const std::string& disks) {
  return std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
         "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os><devices>" +
         disks + "</devices></domain>";
}

struct Host : WorldFixture {
  Host(const std::string& name, net::PeerTransport& peers, const std::string& peer) {
    open_world(hypervisor, peers, name);
    pair_with(peer);
    EXPECT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"}}));
  }
  ~Host() { close_world(); }
  using WorldFixture::carriage_, WorldFixture::folder_, WorldFixture::journal_;
  using WorldFixture::records_, WorldFixture::world_;

  fake::FakeHypervisor hypervisor{{}};
};

// The destination, reached without a network.
class DirectPeer final : public net::PeerTransport {
 public:
  DestinationSide* side = nullptr;
  std::map<std::string, std::deque<Result<std::string>>, std::less<>> instead;  // by verb
  std::vector<std::string> verbs;
  Result<std::string> call(std::string_view, std::string_view verb, std::string_view body,
                           Deadline) override {
    verbs.emplace_back(verb);
    if (const auto scripted = instead.find(verb);
        scripted != instead.end() && !scripted->second.empty()) {
      auto answer = std::move(scripted->second.front());
      scripted->second.pop_front();
      return answer;
    }
    if (verb == verb::kVerify) return to_json(VerifyReply{true, "running", 40ms, {}, {}});
    return side->handle("host1", verb, body);
  }
};

class AsSent : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    image_ = (source_.folder_ / "web01.img").string();
    ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", GetParam(), image_,
                                           std::to_string(kDiskBytes)}}));
    placement_ = {"vda", image_, "/srv/web01.img", GetParam(), {kDiskBytes}, {}, {}};
    ASSERT_TRUE(destination_.hypervisor.define(definition(
        "<disk type='file' device='disk'><source file='/srv/web01.img'/><target dev='vda' "
        "bus='virtio'/><alias name='virtio-disk0'/></disk>")));
    destination_.carriage_.written_path = (destination_.folder_ / "writes").string();
  }

  // The guest at the source writes; QEMU mirrors it, unless it is forgotten.
  void write(std::uint64_t offset, std::uint8_t fill, bool mirrored = true) {
    writes_.push_back(fmt::format("write -P {} {} {}", fill, offset, kPiece));
    if (!mirrored) return;
    client_.write(cookie_, offset, std::vector<std::uint8_t>(kPiece, fill));
    log_->take_requests(client_.take());
    log_->take_answers(content::simple_reply(cookie_++));
  }
  Move move() {
    ProgramCall call{.arguments = {"qemu-io", "-f", GetParam()}};
    for (const auto& write : writes_) call.arguments.insert(call.arguments.end(), {"-c", write});
    call.arguments.push_back(image_);
    EXPECT_TRUE(run_program(call));
    if (ends_) log_.reset();
    EXPECT_TRUE(record_->flush());
    DestinationJob there;
    there.move_id = there.epoch = kMove;
    there.peer = "host1";
    there.plan.vm.uuid = kUuid;
    there.plan.vm.name = "web01";
    there.plan.placements = {placement_};
    there.prepared = true;
    EXPECT_TRUE(destination_.journal_->save(journal::Side::kDestination, kMove,
                                            journal::JobState::kOpen, to_json(there)));
    DestinationSide side(*destination_.world_, [] { return std::vector<Vm>{}; });
    EXPECT_TRUE(side.recover());
    peer_.side = &side;

    const gate::RecordKey key{kUuid, kMove};
    EXPECT_TRUE(source_.records_->create_source(key, kMove));
    EXPECT_TRUE(source_.records_->set_source(key, gate::SourceState::kSwitching));
    EXPECT_TRUE(source_.records_->set_source(key, gate::SourceState::kReleased));
    SourceJob here;
    here.move.id = here.move.epoch = kMove;
    here.move.source = "host1";
    here.move.destination = "host2";
    here.move.phase = Phase::kVerify;
    here.move.plan = there.plan;
    here.move.plan.request.verification = level_;
    here.migrate_called = here.reserved = true;
    here.files = {{"vda", image_, 0, 0}};
    const auto identity = file_identity(image_);
    EXPECT_TRUE(identity);
    here.files[0] = known_file(here.files[0].target, here.files[0].path, *identity);
    job_ = here;
    return run();
  }
  Move run() {
    LiveMove live(*source_.world_, job_, [](MoveChange, const Move&) {});
    live.resume(std::stop_token());
    return live.snapshot();
  }
  // droverd was killed as the move was about to end so.
  Move take_up_again(const Move& ended) {
    job_.move = ended;
    job_.move.state = MoveState::kRunning;
    job_.move.error.reset();
    job_.move.explanation.clear();
    return run();
  }
  bool released() { return !std::filesystem::exists(image_); }

  DirectPeer peer_;
  Host source_{"host1", peer_, "host2"};
  Host destination_{"host2", peer_, "host1"};
  std::string image_;
  DiskPlacement placement_;
  SourceJob job_;
  Verification level_ = Verification::kAsSent;
  bool ends_ = true;  // the mover closes its record
  std::uint64_t cookie_ = 1;
  content::NbdClient client_{"drive-virtio-disk0"};
  std::vector<std::string> writes_;
  std::shared_ptr<content::WriteRecord> record_ = std::make_shared<content::WriteRecord>(UniqueFd(
      ::open((destination_.folder_ / "writes").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600)));
  std::unique_ptr<content::WriteLog> log_ = [this] {
    auto log = std::make_unique<content::WriteLog>(record_);
    log->take_answers(content::server_greeting());
    return log;
  }();
};

TEST_P(AsSent, EqualDisksAreReleased) {
  write(0, 7);
  write(3 * content::kChunkBytes + kPiece, 9);
  write(kPiece, 8);
  write(0, 6);
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone) << done.explanation;
  ASSERT_TRUE(done.report && done.report->proof);
  const Proof& proof = *done.report->proof;
  EXPECT_EQ(proof.level, Verification::kAsSent);
  EXPECT_EQ(proof.compared.bytes, kDiskBytes);
  EXPECT_EQ(proof.unproven.bytes, 0u) << proof.text;
  EXPECT_TRUE(released());
}

// Compressed clusters have no place in the file where the guest's bytes lie.
TEST(FrozenDiskTest, ReadsCompressedClustersToo) {
  const auto folder = std::filesystem::temp_directory_path() / ("drover-frozen-" + random_name(8));
  ASSERT_TRUE(make_folder(folder, 0700));
  const std::string plain = folder / "plain.qcow2", packed = folder / "packed.qcow2";
  ASSERT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", plain, "4M"}}));
  ASSERT_TRUE(run_program({.arguments = {"qemu-io", "-f", "qcow2", "-c", "write -P 5 64k 192k",
                                         "-c", "write -P 6 2M 4k", plain}}));
  ASSERT_TRUE(run_program(
      {.arguments = {"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", plain, packed}}));
  auto one = FrozenDisk::open(plain, "qcow2", folder / "one");
  auto other = FrozenDisk::open(packed, "qcow2", folder / "other");
  ASSERT_TRUE(one && other) << (other ? "" : other.error().text());
  EXPECT_FALSE(std::filesystem::exists(folder / "one")) << "nothing needs a server";
  EXPECT_TRUE(std::filesystem::exists(folder / "other"));
  const auto names = one->names(0, 4);
  const auto same = other->names(0, 4);
  ASSERT_TRUE(names && same);
  EXPECT_EQ(*names, *same);
  EXPECT_NE(names->at(0), content::kZeroName);
  EXPECT_EQ(names->at(1), content::kZeroName);
  std::filesystem::remove_all(folder);
}

TEST_P(AsSent, OneWriteThatWasNotMirroredKeepsEverything) {
  write(0, 7);
  write(2 * content::kChunkBytes, 5, false);
  const Move kept = move();
  EXPECT_EQ(kept.state, MoveState::kParked);
  EXPECT_EQ(kept.runner, Runner::kDestination);
  ASSERT_TRUE(kept.error);
  EXPECT_EQ(kept.error->code, ErrorCode::kCorrupt);
  EXPECT_NE(kept.explanation.find("first at 2 MiB"), std::string::npos) << kept.explanation;
  EXPECT_FALSE(released());
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kSettle), 0);
}

TEST_P(AsSent, ARecordWithoutItsEndProvesNothingAndSaysSo) {
  ends_ = false;
  write(0, 7);
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  ASSERT_TRUE(done.report->proof);
  EXPECT_EQ(done.report->proof->compared.bytes, 0u);
  EXPECT_EQ(done.report->proof->unproven.bytes, kDiskBytes);
  EXPECT_FALSE(done.report->proof->text.empty());
}

TEST_P(AsSent, IsAskedAgainWhileNobodyAnswers) {
  write(0, 7);
  peer_.instead["prove"].push_back(fail(ErrorCode::kUnavailable, "host2 does not answer."));
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  EXPECT_EQ(done.report->proof->compared.bytes, kDiskBytes);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kProve), 2);
}

TEST_P(AsSent, ADestinationThatCannotAnswerLeavesItUnproven) {
  write(0, 7);
  peer_.instead["prove"].push_back(fail(ErrorCode::kNotFound, "There is no peer call prove."));
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  EXPECT_EQ(done.report->proof->unproven.bytes, kDiskBytes);
  EXPECT_TRUE(released());
}

TEST_P(AsSent, IsNotDoneIfNobodyWantsIt) {
  level_ = Verification::kNone;
  write(0, 7, false);
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  EXPECT_EQ(done.report->proof->level, Verification::kNone);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kProve), 0);
}

// The destination's answers are scripted: live_disks_test.cpp has its disks.
class ReadBack : public AsSent {
 protected:
  void SetUp() override {
    AsSent::SetUp();
    level_ = Verification::kReadBack;
    write(0, 7);
  }
  void answer(const ProveReply& reply) { peer_.instead["prove"].push_back(to_json(reply)); }
};

TEST_P(ReadBack, WhatTheGuestWroteIsLeftOut) {
  answer({});
  answer({.different = {0, 2, 3}});
  answer({.excluded = 5});
  answer({.excluded = 2});
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone) << done.explanation;
  const Proof& proof = *done.report->proof;
  EXPECT_EQ(proof.level, Verification::kReadBack);
  EXPECT_EQ(proof.excluded.bytes, 7 * content::kBlockBytes);
  EXPECT_EQ(proof.compared.bytes, kDiskBytes - 7 * content::kBlockBytes);
  EXPECT_EQ(proof.text, "");
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kProve), 4) << "chunks 2 and 3 are asked at once";
}

TEST_P(ReadBack, WhatNobodyKnowsOfTheWayDoesNotMatter) {
  answer({.unproven = 4, .text = "why"});
  answer({});
  const Move done = move();
  EXPECT_EQ(done.report->proof->compared.bytes, kDiskBytes);
  EXPECT_EQ(done.report->proof->unproven.bytes, 0u);
}

TEST_P(ReadBack, ABlockThatDiffersKeepsEverything) {
  answer({});
  answer({.different = {2}});
  answer({.different = {515}, .excluded = 1});
  const Move kept = move();
  EXPECT_EQ(kept.state, MoveState::kParked);
  EXPECT_EQ(kept.error->code, ErrorCode::kCorrupt);
  EXPECT_NE(kept.explanation.find("1 of its parts of 4 KiB, first at 2 MiB (byte 2109440)"),
            std::string::npos)
      << kept.explanation;
  EXPECT_FALSE(kept.report->proof->difference.empty());
  EXPECT_FALSE(released());
  EXPECT_EQ(peer_.verbs.back(), verb::kUnwatch);
  // Killed before that was written down, droverd finds nothing watched any more, and asks nothing.
  peer_.verbs.clear();
  peer_.instead["unwatch"].push_back(std::string("{}"));
  const Move again = take_up_again(kept);
  EXPECT_EQ(again.state, MoveState::kParked);
  EXPECT_EQ(again.explanation, kept.explanation);
  EXPECT_EQ(std::ranges::count(peer_.verbs, verb::kProve), 0);
  EXPECT_FALSE(released());
}

TEST_P(ReadBack, IsNeverClaimedWhereItCouldNotBeDone) {
  answer({});
  peer_.instead["prove"].push_back(fail(ErrorCode::kNotFound, "Nothing was watched."));
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  const Proof& proof = *done.report->proof;
  EXPECT_EQ(proof.level, Verification::kAsSent);
  EXPECT_EQ(proof.compared.bytes, kDiskBytes);
  EXPECT_NE(proof.text.find("Nothing was watched. Nothing shows a loss."), std::string::npos)
      << proof.text;
  EXPECT_NE(proof.text.find("check the file systems"), std::string::npos) << proof.text;
}

// The fake hypervisor's QEMU knows of no watch.
TEST_P(ReadBack, IsNotClaimedByADestinationWhoseQemuWatchesNothing) {
  const Move done = move();
  EXPECT_EQ(done.state, MoveState::kDone);
  EXPECT_EQ(done.report->proof->level, Verification::kAsSent);
}

INSTANTIATE_TEST_SUITE_P(Formats, ReadBack, testing::Values("qcow2", "raw"));
INSTANTIATE_TEST_SUITE_P(Formats, AsSent, testing::Values("qcow2", "raw"));

}  // namespace
}  // namespace drover::move
