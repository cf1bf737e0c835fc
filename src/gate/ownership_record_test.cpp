// SPDX-License-Identifier: Apache-2.0
#include "gate/ownership_record.h"

#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"

namespace drover::gate {
namespace {

namespace fs = std::filesystem;

const RecordKey kKey{"01234567-89ab-cdef-0123-456789abcdef", "k3f9x2qa-1"};
constexpr const char* kMove = "k3f9x2qa";

class OwnershipRecord : public testing::Test {
 protected:
  ~OwnershipRecord() override { fs::remove_all(path_); }
  RecordFolder open(const std::string& instance = "1") const {
    return std::move(*RecordFolder::open(path_, instance));
  }
  fs::path file(const char* kind) const {
    return path_ / (kKey.vm_uuid + "." + kKey.epoch + "." + kind);
  }

  const fs::path path_ = fs::temp_directory_path() / ("drover-records-" + random_name(8));
  const RecordFolder records_ = open();
};

constexpr std::array kStates{SourceState::kHeld, SourceState::kSwitching, SourceState::kKept,
                             SourceState::kReleased};

TEST_F(OwnershipRecord, SourceTakesExactlyTheStepsOfTheTable) {
  // held, switching, kept, released; rows: from, columns: to (docs/ownership.md).
  constexpr bool kAllowed[4][4] = {
      {true, true, true, false},
      {false, true, true, true},
      {false, false, true, false},
      {false, false, false, true},
  };
  for (std::size_t from = 0; from < 4; ++from) {
    for (std::size_t to = 0; to < 4; ++to) {
      const RecordKey key{kKey.vm_uuid, "e" + std::to_string(from * 4 + to)};
      ASSERT_TRUE(records_.create_source(key, kMove));
      if (from > 1) {
        ASSERT_TRUE(records_.set_source(key, SourceState::kSwitching));
      }
      ASSERT_TRUE(records_.set_source(key, kStates[from]));
      const Status done = records_.set_source(key, kStates[to]);
      EXPECT_EQ(done.has_value(), kAllowed[from][to]) << from << " to " << to;
      if (!done) {
        EXPECT_EQ(done.error().code, ErrorCode::kConflict);
      }
      EXPECT_EQ(records_.source(key)->state, kStates[done ? to : from]);
    }
  }
}

TEST_F(OwnershipRecord, FirstDecisionStands) {
  for (const Decision first : {Decision::kAccepted, Decision::kRefused}) {
    for (const Decision second : {Decision::kAccepted, Decision::kRefused}) {
      const RecordKey key{kKey.vm_uuid, random_name(6)};
      ASSERT_TRUE(records_.create_destination(key, kMove));
      EXPECT_FALSE(records_.decision(key)->has_value());
      EXPECT_EQ(*records_.decide(key, first), first);
      EXPECT_EQ(*records_.decide(key, second), first);
      EXPECT_EQ(*records_.decision(key), first);
      EXPECT_EQ(*open().decision(key), first) << "after opening the folder again";
    }
  }
}

TEST_F(OwnershipRecord, NoRecordIsUnknownNotRefused) {
  EXPECT_EQ(records_.source(kKey).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(records_.decision(kKey).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(records_.decide(kKey, Decision::kRefused).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(records_.set_source(kKey, SourceState::kKept).error().code, ErrorCode::kNotFound);
}

TEST_F(OwnershipRecord, AnotherInstanceIsInDoubt) {
  ASSERT_TRUE(records_.create_destination(kKey, kMove));
  ASSERT_TRUE(records_.decide(kKey, Decision::kRefused));
  const RecordFolder other = open("2");
  EXPECT_EQ(other.decision(kKey).error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(other.decide(kKey, Decision::kRefused).error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(other.list()->unreadable, 1u);
}

TEST_F(OwnershipRecord, CreatingTwiceIsAllowedUntilSomethingHappened) {
  ASSERT_TRUE(records_.create_source(kKey, kMove));
  EXPECT_TRUE(records_.create_source(kKey, kMove));
  EXPECT_EQ(records_.create_source(kKey, "another").error().code, ErrorCode::kConflict);
  ASSERT_TRUE(records_.set_source(kKey, SourceState::kSwitching));
  EXPECT_EQ(records_.create_source(kKey, kMove).error().code, ErrorCode::kConflict);
}

TEST_F(OwnershipRecord, EveryTruncationAndEveryFlippedBitIsCorrupt) {
  ASSERT_TRUE(records_.create_destination(kKey, kMove));
  ASSERT_TRUE(records_.decide(kKey, Decision::kRefused));
  const std::string whole = *read_file(file("decision"));
  const auto store = [&](const std::string& text) {
    std::ofstream(file("decision"), std::ios::trunc) << text;
  };
  for (std::size_t size = 0; size < whole.size(); ++size) {
    store(whole.substr(0, size));
    EXPECT_EQ(records_.decision(kKey).error().code, ErrorCode::kCorrupt) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ (1 << (at % 8)));
    store(text);
    EXPECT_FALSE(records_.decision(kKey)) << at;
  }
  EXPECT_EQ(records_.decide(kKey, Decision::kAccepted).error().code, ErrorCode::kCorrupt);
  store(whole);
  EXPECT_EQ(*records_.decision(kKey), Decision::kRefused);
}

TEST_F(OwnershipRecord, AnotherVmsFileUnderThisNameIsCorrupt) {
  const RecordKey other{"ffffffff-89ab-cdef-0123-456789abcdef", kKey.epoch};
  ASSERT_TRUE(records_.create_source(other, kMove));
  fs::copy_file(path_ / (other.vm_uuid + "." + other.epoch + ".source"), file("source"));
  EXPECT_EQ(records_.source(kKey).error().code, ErrorCode::kCorrupt);
}

TEST_F(OwnershipRecord, LeftoversOfACrashAreRemovedAndChangeNothing) {
  ASSERT_TRUE(records_.create_destination(kKey, kMove));
  std::ofstream(path_ / ".new-abc") << "drover-rec";
  const RecordFolder again = open();
  EXPECT_FALSE(fs::exists(path_ / ".new-abc"));
  EXPECT_FALSE(again.decision(kKey)->has_value());
}

TEST_F(OwnershipRecord, OutcomeIsKept) {
  ASSERT_TRUE(records_.create_destination(kKey, kMove));
  ASSERT_TRUE(records_.decide(kKey, Decision::kAccepted));
  EXPECT_FALSE(records_.outcome(kKey)->has_value());
  ASSERT_TRUE(records_.set_outcome(kKey, {false, -1, "two\nlines"}));
  EXPECT_EQ(**records_.outcome(kKey), (Outcome{false, -1, "two lines"}));
  ASSERT_TRUE(records_.set_outcome(kKey, {true, 42, ""}));
  EXPECT_EQ(**records_.outcome(kKey), (Outcome{true, 42, ""}));
}

TEST_F(OwnershipRecord, RemoveMayRunTwiceAndForgetsAll) {
  ASSERT_TRUE(records_.create_source(kKey, kMove));
  ASSERT_TRUE(records_.create_destination(kKey, kMove));
  ASSERT_TRUE(records_.decide(kKey, Decision::kAccepted));
  EXPECT_EQ(records_.list()->sources.size(), 1u);
  EXPECT_EQ(records_.list()->destinations.size(), 1u);
  ASSERT_TRUE(records_.remove(kKey));
  ASSERT_TRUE(records_.remove(kKey));
  EXPECT_EQ(records_.decide(kKey, Decision::kAccepted).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(records_.list()->sources.empty());
}

TEST_F(OwnershipRecord, NamesOfFilesCannotBeForged) {
  EXPECT_FALSE(records_.create_source({"../../etc", "1"}, kMove));
  EXPECT_FALSE(records_.create_source({kKey.vm_uuid, "a.b"}, kMove));
  EXPECT_FALSE(records_.create_source({"", ""}, kMove));
}

TEST_F(OwnershipRecord, OneOfManyRacingProcessesWins) {
  for (int round = 0; round < 20; ++round) {
    const RecordKey key{kKey.vm_uuid, "race" + std::to_string(round)};
    ASSERT_TRUE(records_.create_destination(key, kMove));
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        const auto wanted = i % 2 == 0 ? Decision::kAccepted : Decision::kRefused;
        const auto got = records_.decide(key, wanted);
        ::_exit(!got ? 9 : *got == Decision::kAccepted ? 1 : 2);
      }
      children.push_back(child);
    }
    const int expected = [&] {
      int status = 0;
      ::waitpid(children[0], &status, 0);
      return WEXITSTATUS(status);
    }();
    EXPECT_NE(expected, 9);
    for (std::size_t i = 1; i < children.size(); ++i) {
      int status = 0;
      ::waitpid(children[i], &status, 0);
      EXPECT_EQ(WEXITSTATUS(status), expected);
    }
    EXPECT_EQ(*records_.decision(key) == Decision::kAccepted, expected == 1);
  }
}

// Runs `work` in a process that is killed at its n-th entry into or return from the kernel. False:
// it came to its end before that.
bool killed_at(int n, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  for (int stops = 0; stops < n && WIFSTOPPED(status); ++stops) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
  }
  if (!WIFSTOPPED(status)) return false;
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return true;
}

TEST_F(OwnershipRecord, DeathAtAnySystemCallLeavesOneDecisionOrNone) {
  int n = 1;
  for (bool killed = true; killed; ++n) {
    const RecordKey key{kKey.vm_uuid, "crash" + std::to_string(n)};
    ASSERT_TRUE(records_.create_destination(key, kMove));
    killed = killed_at(n, [&] { static_cast<void>(records_.decide(key, Decision::kAccepted)); });
    const RecordFolder after = open();
    const auto found = after.decision(key);
    ASSERT_TRUE(found) << n << ": " << found.error().text();
    EXPECT_TRUE(killed || *found == Decision::kAccepted);
    const Decision expected = found->value_or(Decision::kRefused);
    EXPECT_EQ(*after.decide(key, Decision::kRefused), expected) << n;
    EXPECT_EQ(*after.decide(key, Decision::kAccepted), expected) << n;
  }
  EXPECT_GT(n, 20) << "the work was traced";
}

TEST_F(OwnershipRecord, DeathAtAnySystemCallLeavesTheFormerOrTheNewState) {
  for (int n = 1;; ++n) {
    const RecordKey key{kKey.vm_uuid, "crash" + std::to_string(n)};
    ASSERT_TRUE(records_.create_source(key, kMove));
    const bool killed =
        killed_at(n, [&] { static_cast<void>(records_.set_source(key, SourceState::kSwitching)); });
    const auto found = open().source(key);
    ASSERT_TRUE(found) << n << ": " << found.error().text();
    EXPECT_TRUE(found->state == SourceState::kSwitching ||
                (killed && found->state == SourceState::kHeld))
        << n;
    if (!killed) break;
  }
}

}  // namespace
}  // namespace drover::gate
