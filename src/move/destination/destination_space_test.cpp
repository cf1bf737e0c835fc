// SPDX-License-Identifier: Apache-2.0
// Room at the destination: what is promised to moves counts, and is given back when they do not
// come.
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "move/destination/destination_fixture.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class DestinationSpace : public DestinationFixture {
 protected:
  void SetUp() override {
    DestinationFixture::SetUp();
    ASSERT_TRUE(make_folder(folder_ / "images", 0755));
    using Op = SettingChange::Op;
    ASSERT_TRUE(book_->change_settings(
        {{"space-reserve", Op::kSet, "1M"}, {"allowed-folders", Op::kAdd, images()}}));
  }
  std::string images() const { return (folder_ / "images").string(); }
  Result<std::string> reserve(const char* move, const char* uuid, const char* name,
                              ByteCount allocated) {
    ReserveRequest request = reservation(definition_of(uuid, name));
    request.move = request.epoch = move;
    request.plan.vm.uuid = uuid;
    request.plan.vm.name = name;
    request.plan.placements = {
        {"vda", "/srv/a", images() + "/" + name + ".raw", "raw", gib(1), allocated, {}}};
    return DestinationFixture::reserve(request);
  }
  ByteCount free_now() const {
    struct statvfs found{};
    EXPECT_EQ(::statvfs(images().c_str(), &found), 0);
    return {std::uint64_t{found.f_bavail} * found.f_frsize};
  }
};

// It waits for its window there: others take its place meanwhile, and it asks for one again.
TEST_F(DestinationSpace, AMoveThatRestsGivesItsPlaceBackAndTakesItAgain) {
  ASSERT_TRUE(book_->change_settings({{"live-moves", SettingChange::Op::kSet, "1"}}));
  const auto granted = [&](const char* move, bool give_back, bool rests) {
    const auto text =
        side_->handle("host1", verb::kAdmit, to_json(AdmitRequest{move, give_back, rests}));
    EXPECT_TRUE(text) << text.error().text();
    return text && admit_reply_from_json(*text)->granted;
  };
  ASSERT_TRUE(reserve(kMove, kUuid, "web01", mib(1)));
  EXPECT_TRUE(granted(kMove, true, false));
  EXPECT_FALSE(granted("bbbbbbbb", false, false)) << "the move is there, and does not rest";
  EXPECT_TRUE(granted("bbbbbbbb", true, false));
  EXPECT_TRUE(granted(kMove, true, true));
  EXPECT_TRUE(granted(kMove, true, true)) << "it may be said again";
  EXPECT_TRUE(granted("cccccccc", false, false));
  EXPECT_FALSE(granted(kMove, false, false)) << "it waits for its turn";
  EXPECT_TRUE(granted("cccccccc", true, false));
  ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "off"}}));
  EXPECT_TRUE(granted(kMove, false, false)) << "what is there may go on";
  EXPECT_EQ(slots_.used(), 1u);
}

TEST_F(DestinationSpace, WhatIsPromisedToOneMoveIsNotThereForTheNext) {
  const ByteCount most_of_it{free_now().bytes / 4 * 3};
  const auto first = reserve(kMove, kUuid, "web01", most_of_it);
  ASSERT_TRUE(first) << first.error().text();
  constexpr const char* kOther = "7f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
  const auto second = reserve("aaaaaaaa", kOther, "web02", most_of_it);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(second.error().retry, Retry::kLater);
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_TRUE(reserve("aaaaaaaa", kOther, "web02", most_of_it)) << "it was given back";
}

TEST_F(DestinationSpace, AFullImageIsPromisedItsWholeDisk) {
  ReserveRequest request = reservation(definition_of(kUuid, "web01"));
  request.plan.placements = {
      {"vda", "/srv/a", images() + "/web01.raw", "raw", free_now() + gib(1), mib(1), {}}};
  request.plan.placements[0].allocation = Allocation::kFull;
  const auto refused = DestinationFixture::reserve(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  request.plan.placements[0].allocation.reset();
  EXPECT_TRUE(DestinationFixture::reserve(request));
}

// QEMU's NBD server makes holes of what is empty.
TEST_F(DestinationSpace, AFullImageGetsItsRoomBackWhileItIsCopied) {
  ReserveRequest request = reservation(definition_of(kUuid, "web01"));
  const std::string image = images() + "/web01.raw";
  request.plan.placements = {{"vda", "/srv/a", image, "raw", mib(8), mib(1), {}}};
  request.plan.placements[0].allocation = Allocation::kFull;
  ASSERT_TRUE(DestinationFixture::reserve(request));
  ASSERT_TRUE(call(verb::kPrepare));
  const auto room = [&] {
    struct stat found{};
    EXPECT_EQ(::stat(image.c_str(), &found), 0);
    return static_cast<std::uint64_t>(found.st_blocks) * 512;
  };
  EXPECT_GE(room(), mib(8).bytes);
  const UniqueFd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
  constexpr int kHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  ASSERT_EQ(::fallocate(file.get(), kHole, 0, 4 << 20), 0);
  EXPECT_LT(room(), mib(8).bytes);
  ASSERT_TRUE(call(verb::kSpace));
  EXPECT_GE(room(), mib(8).bytes);
}

TEST_F(DestinationSpace, AReservationWhoseSourceIsGoneEnds) {
  ASSERT_TRUE(reserve(kMove, kUuid, "web01", mib(1)));
  side_->sweep();
  EXPECT_FALSE(job_in_journal().undone) << "its time is not over";
  lease_ = 0ms;
  restart();
  side_->sweep();
  EXPECT_TRUE(job_in_journal().undone);
  EXPECT_EQ(slots_.used(), 0u);
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict) << "its source came late";
}

TEST_F(DestinationSpace, WhatDroverdDiedOverBeforeThereWasAGateEnds) {
  ASSERT_TRUE(reserve(kMove, kUuid, "web01", mib(1)));
  auto left = job_in_journal();
  left.prepared = true;
  save(left);
  restart();
  side_->sweep();
  EXPECT_FALSE(job_in_journal().undone) << "a source that is alive undoes sooner";
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_TRUE(job_in_journal().undone);
}

// Without its record nothing is known of a move that had one: it may have come.
TEST_F(DestinationSpace, AJobThatMayHaveHadARecordIsNotSwept) {
  ASSERT_TRUE(reserve(kMove, kUuid, "web01", mib(1)));
  ASSERT_TRUE(call(verb::kPrepare));
  EXPECT_TRUE(job_in_journal().recorded);
  ASSERT_TRUE(records_->remove({kUuid, kMove}));
  lease_ = 0ms;
  restart();
  side_->sweep();
  side_->sweep();
  EXPECT_FALSE(job_in_journal().undone || job_in_journal().undoing);
}

TEST_F(DestinationSpace, TellsItsSourceHowMuchIsLeft) {
  ASSERT_TRUE(reserve(kMove, kUuid, "web01", mib(1)));
  const auto text = call(verb::kSpace);
  ASSERT_TRUE(text) << text.error().text();
  const auto reply = space_reply_from_json(*text);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->reserve, mib(1));
  EXPECT_EQ(reply->patience, 600s);
  EXPECT_EQ(reply->folder, images());
  EXPECT_GT(reply->free.bytes, 0u);
  EXPECT_FALSE(reply->is_short());
  ASSERT_TRUE(book_->change_settings({{"space-reserve", SettingChange::Op::kSet, "900000G"}}));
  EXPECT_TRUE(space_reply_from_json(*call(verb::kSpace))->is_short()) << "at once";
}

}  // namespace
}  // namespace drover::move
