// SPDX-License-Identifier: Apache-2.0
#include "move/residue/memory_store.h"

#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "move/move_test_support.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class Memories : public testing::Test {
 protected:
  static Move move_of(const std::string& id, const std::string& uuid, ByteCount memory = gib(1)) {
    Move move;
    move.id = id;
    move.destination = "host2";
    move.plan.vm.uuid = uuid;
    move.plan.vm.name = "web01";
    move.plan.vm.memory = memory;
    return move;
  }
  bool begin(const Move& move) {
    auto file = carriage_.scratch_file();
    EXPECT_TRUE(file);
    auto given = store_.begin(move, std::move(*file), limits_);
    if (given) {
      EXPECT_EQ(::write(given->file.get(), move.id.data(), move.id.size()),
                static_cast<ssize_t>(move.id.size()));
    }
    return given.has_value();
  }
  void leave(const Move& move) {
    ASSERT_TRUE(begin(move));
    store_.keep(move);
  }
  // What the file of that VM holds; empty: there is none.
  std::string found(const std::string& uuid, const std::string& peer = "host2") {
    const auto memory = store_.find(uuid, peer);
    if (!memory) return {};
    char text[16] = {};
    EXPECT_GT(::pread(memory->file.get(), text, sizeof text - 1, 0), 0);
    EXPECT_LT(::write(memory->file.get(), text, 1), 0) << "it can be written";
    return text;
  }
  std::size_t count() { return store_.list(limits_).size(); }

  MemoryStore store_;
  HostSettings limits_;
  ScriptedCarriage carriage_;
};

TEST_F(Memories, AreForTheHostThatTheVmWentTo) {
  leave(move_of("move0001", "a"));
  EXPECT_EQ(found("a"), "move0001");
  EXPECT_EQ(found("a", "host3"), "");
  EXPECT_EQ(found("b"), "");
  const auto memory = store_.find("a", "host2");
  EXPECT_NE(memory->key, content::PageKey{});
}

TEST_F(Memories, AreThereOnlyOnceTheVmHasLeft) {
  ASSERT_TRUE(begin(move_of("move0001", "a")));
  EXPECT_EQ(found("a"), "");
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(store_.drop("move0001")) << "the move failed";
  store_.keep(move_of("move0001", "a"));
  EXPECT_EQ(found("a"), "");
}

TEST_F(Memories, OfAVmAreTheNewestAlone) {
  leave(move_of("move0001", "a"));
  leave(move_of("move0002", "a"));
  EXPECT_EQ(found("a"), "move0002");
  EXPECT_EQ(count(), 1u);
  store_.drop_of_vm("a");
  EXPECT_EQ(count(), 0u);
}

TEST_F(Memories, AreBoundedAndTheOldestMakesRoom) {
  limits_.residue_max = gib(2);
  EXPECT_FALSE(begin(move_of("move0000", "x", gib(3))));
  leave(move_of("move0001", "a"));
  leave(move_of("move0002", "b"));
  leave(move_of("move0003", "c"));
  EXPECT_EQ(found("a"), "");
  EXPECT_EQ(found("b"), "move0002");
  EXPECT_EQ(found("c"), "move0003");
  limits_.residue_max = gib(1);
  store_.expire(limits_);
  EXPECT_EQ(found("b"), "");
  EXPECT_EQ(found("c"), "move0003");
  limits_.residue_max = {};
  store_.expire(limits_);
  EXPECT_EQ(count(), 0u);
  EXPECT_FALSE(begin(move_of("move0004", "d", kib(4)))) << "off";
}

TEST_F(Memories, AreDroppedWhenTheyAreOld) {
  leave(move_of("move0001", "a"));
  store_.expire(limits_);
  EXPECT_EQ(count(), 1u);
  limits_.residue_age = std::chrono::hours(0);
  std::this_thread::sleep_for(2ms);
  store_.expire(limits_);
  EXPECT_EQ(count(), 0u);
}

TEST_F(Memories, AreListedWithoutAPath) {
  leave(move_of("move0001", "a"));
  const auto listed = store_.list(limits_);
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].move_id, "move0001");
  EXPECT_EQ(listed[0].original_path, "memory");
  EXPECT_EQ(listed[0].kept_path, "");
  EXPECT_EQ(listed[0].until, listed[0].since + 24h);
}

TEST_F(Memories, ThatWillNotBeKeptAreAnnounced) {
  MoveRequest request;
  const Vm vm = move_of("m", "a", gib(8)).plan.vm;
  EXPECT_FALSE(memory_not_kept(request, vm, limits_)) << "nobody asked";
  request.keep_memory = true;
  EXPECT_EQ(memory_not_kept(request, vm, limits_)->code, "MEMORY_NOT_KEPT");
  limits_.residue_max = gib(8);
  EXPECT_FALSE(memory_not_kept(request, vm, limits_));
  request.performance = Performance::kDirect;
  EXPECT_TRUE(memory_not_kept(request, vm, limits_));
}

}  // namespace
}  // namespace drover::move
