// SPDX-License-Identifier: Apache-2.0
#include "content/source_content.h"

namespace drover::content {

SourceContent::SourceContent(const ContentKey& key, SourceLimits limits)
    : key_(key), limits_(limits) {}

std::size_t SourceContent::page_table_bytes() const { return limits_.index_bytes; }

}  // namespace drover::content
