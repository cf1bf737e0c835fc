// SPDX-License-Identifier: Apache-2.0
#include "request_options.h"

#include <gtest/gtest.h>

namespace drover::cli {
namespace {

TEST(RequestOptions, ItemsBelongToTheHostThatIsNamed) {
  RequestOptions options;
  options.items = {"vda=fast", "nvram=/srv/nv"};
  EXPECT_TRUE(options.storage()) << "no destination: within its host";
  options.destination_named = true;
  EXPECT_FALSE(options.storage());
  const auto request = options.request("uuid", "host2");
  ASSERT_TRUE(request) << request.error().text();
  EXPECT_FALSE(request->kind);
  ASSERT_EQ(request->items.size(), 2u);
  EXPECT_EQ(request->items[0].item, "vda");
  EXPECT_EQ(request->items[1].place, "/srv/nv");
  options.to_storage = "/srv/fast";
  EXPECT_TRUE(options.storage());
  EXPECT_EQ(options.request("uuid", "")->kind, MoveKind::kStorage);
  options.items = {"vda"};
  EXPECT_FALSE(options.request("uuid", ""));
}

TEST(RequestOptions, AllocationIsThinOrFull) {
  RequestOptions options;
  EXPECT_FALSE(options.request("uuid", "host2")->allocation);
  options.allocation = "full";
  EXPECT_EQ(options.request("uuid", "host2")->allocation, Allocation::kFull);
  options.allocation = "fixed";
  const auto refused = options.request("uuid", "host2");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("thin or full"), std::string::npos);
}

}  // namespace
}  // namespace drover::cli
