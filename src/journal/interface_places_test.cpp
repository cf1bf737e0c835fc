// SPDX-License-Identifier: Apache-2.0
#include "journal/interface_places.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "journal/fix_book.h"

namespace drover::journal {
namespace {

class Places : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    database_ = *Database::open(folder_ / "drover.db");
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string text(std::string_view host) {
    std::string out;
    const auto places = InterfacePlaces(*database_).of(host).value();
    for (const auto& place : places) out += place.from + "=" + place.to + " ";
    return out;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  std::unique_ptr<Database> database_;
};

using List = std::vector<InterfacePlace>;

TEST_F(Places, AreKeptForEachHost) {
  InterfacePlaces places(*database_);
  ASSERT_TRUE(places.add("k2", List{{"lan", "prod"}, {"dmz", "edge"}}));
  ASSERT_TRUE(places.add("k3", List{{"lan", "other"}}));
  ASSERT_TRUE(places.add("k2", List{{"lan", "test"}}));
  database_.reset();
  database_ = *Database::open(folder_ / "drover.db");
  EXPECT_EQ(text("k2"), "dmz=edge lan=test ");
  EXPECT_EQ(text("k3"), "lan=other ");
  ASSERT_TRUE(InterfacePlaces(*database_).set("k2", List{{"a", "b"}}));
  EXPECT_EQ(text("k2"), "a=b ");
}

TEST_F(Places, OfAWayBackNeverReplaceAWord) {
  InterfacePlaces places(*database_);
  ASSERT_TRUE(places.add("k2", List{{"lan", "prod"}}));
  ASSERT_TRUE(places.add_unknown("k2", List{{"lan", "else"}, {"dmz", "edge"}}));
  EXPECT_EQ(text("k2"), "dmz=edge lan=prod ");
}

TEST_F(Places, AreBounded) {
  InterfacePlaces places(*database_);
  List many;
  for (std::size_t i = 0; i < kInterfacePlacesKept; ++i) many.push_back({std::to_string(i), "x"});
  ASSERT_TRUE(places.set("k2", many));
  EXPECT_EQ(places.add("k2", List{{"lan", "prod"}}).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(places.add_unknown("k2", List{{"lan", "prod"}}));
  EXPECT_EQ(places.of("k2")->size(), kInterfacePlacesKept);
}

TEST_F(Places, StandBesideFixesThatCanBeFoundAgain) {
  FixBook book(*database_);
  AppliedFix fix;
  fix.id = "k3f9x2qa";
  fix.code = "MEDIA_INSERTED";
  ASSERT_TRUE(book.save(fix));
  fix.undone_at = fix.applied_at;
  ASSERT_TRUE(book.save(fix));
  ASSERT_EQ(book.list()->size(), 1u);
  EXPECT_TRUE(book.find("k3f9x2qa")->undone_at);
  EXPECT_EQ(book.find("absent").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(book.remove("k3f9x2qa"));
  EXPECT_TRUE(book.list()->empty());
}

}  // namespace
}  // namespace drover::journal
