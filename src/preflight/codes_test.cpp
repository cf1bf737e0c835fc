// SPDX-License-Identifier: Apache-2.0
#include "preflight/codes.h"

#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"

namespace drover::preflight {
namespace {

TEST(Codes, AreTheSameInTheDocument) {
  const auto document = read_file(DROVER_SOURCE_ROOT "/docs/findings.md");
  ASSERT_TRUE(document);
  std::set<std::string> documented, known;
  const std::regex heading("\n### ([A-Z_]+)\n");
  for (std::sregex_iterator it(document->begin(), document->end(), heading), end; it != end; ++it) {
    EXPECT_TRUE(documented.insert((*it)[1]).second) << (*it)[1] << " is documented twice";
  }
  for (const Code code : all_codes()) known.insert(std::string(code_name(code)));
  EXPECT_EQ(known.size(), all_codes().size());
  EXPECT_EQ(documented, known);
  EXPECT_EQ(static_cast<std::size_t>(Code::kNetworkSharedWithGuests) + 1, all_codes().size());
}

}  // namespace
}  // namespace drover::preflight
