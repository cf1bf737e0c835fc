// SPDX-License-Identifier: Apache-2.0
// Which content was named already: of images made from one, most blocks are the same, and to name
// them again would cost the link and teach nobody anything. Bounded: of two names that want the
// same place the later one stays, so one may be said again. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/big_endian.h"
#include "content/ops.h"
#include "content/zeroed.h"

namespace drover::mover {

class SaidNames {
 public:
  // 16 MiB, for 8 GiB of content.
  static constexpr std::size_t kNamesMax = std::size_t{1} << 21;

  // True: it was said before.
  bool take(const content::Name& name) {
    const auto tag = load_be<std::uint64_t>(name.data() + 8);
    return std::exchange(tags_[load_be<std::uint64_t>(name.data()) % kNamesMax], tag) == tag;
  }

 private:
  content::Zeroed<std::uint64_t> tags_ = content::zeroed<std::uint64_t>(kNamesMax);
};

}  // namespace drover::mover
