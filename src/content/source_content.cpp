// SPDX-License-Identifier: Apache-2.0
#include "content/source_content.h"

namespace drover::content {

SourceContent::SourceContent(const ContentKey& key, SourceLimits limits)
    : key_(key), limits_(limits) {}

}  // namespace drover::content
