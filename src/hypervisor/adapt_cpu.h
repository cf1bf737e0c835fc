// SPDX-License-Identifier: Apache-2.0
// The CPU of a definition. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

// The definition with the model, the vendor and the features of `cpu` (a <cpu> element), exactly
// these. Topology, NUMA cells, caches and addresses stay as the definition has them.
Result<std::string> adapt_cpu(std::string_view domain_xml, std::string_view cpu);

// The definition with this <cpu> element instead of its own; empty: with none.
Result<std::string> replace_cpu(std::string_view domain_xml, std::string_view cpu);

// A definition that has nothing of this one but what its CPU is judged by: type, architecture,
// machine and <cpu>.
Result<std::string> cpu_definition(std::string_view domain_xml);

struct CpuText {
  std::string mode;                             // "custom", "host-model"; empty: none said
  std::string model;                            // empty: none said
  std::map<std::string, std::string> features;  // name -> policy: "require", "disable", ...
};
// Of a <cpu> element; empty: all empty.
Result<CpuText> read_cpu(std::string_view cpu);

// The same elements with the same attributes, whatever stands between them.
bool same_cpu(std::string_view a, std::string_view b);

}  // namespace drover
