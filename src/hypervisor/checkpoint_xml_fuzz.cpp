// SPDX-License-Identifier: Apache-2.0
// Any bytes as a checkpoint: no crash; adapting moves the paths that were meant and no others.
#include <cstdint>
#include <cstdlib>

#include "hypervisor/checkpoint_xml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace drover;
  const CheckpointText text{"name", {reinterpret_cast<const char*>(bytes), size}, false};
  (void)parse_checkpoint(text);
  (void)checkpoint_definitions(text.xml);
  const auto paths = checkpoint_paths(text.xml);
  if (!paths) return 0;
  std::map<std::string, std::string> moved;
  for (const std::string& path : *paths) moved[path] = "/moved" + path;
  const auto adapted = adapt_checkpoint(text.xml, moved);
  if (!adapted) std::abort();
  const auto after = checkpoint_paths(*adapted);
  if (!after || after->size() != paths->size()) std::abort();
  for (const std::string& path : *after) {
    if (!path.starts_with("/moved/")) std::abort();
  }
  return 0;
}
