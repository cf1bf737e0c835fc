// SPDX-License-Identifier: Apache-2.0
// Forecasts of moves: one encode and one decode each, side by side.
#include "json/encode.h"

namespace drover::json {

using Json = nlohmann::json;

Json encode(const StrategyForecast& value) {
  return {{"strategy", value.strategy},
          {"wire_bytes", value.wire.bytes},
          {"least_ms", value.least.count()},
          {"likely_ms", value.likely.count()},
          {"most_ms", value.most.count()},
          {"pause_ms", value.pause.count()},
          {"converges_percent", value.converges_percent}};
}

Status decode(const Json& from, const std::string& path, Unknown unknown, StrategyForecast& out) {
  return Fields(from, path, unknown)
      .need("strategy", out.strategy)
      .may("wire_bytes", out.wire)
      .may("least_ms", out.least)
      .need("likely_ms", out.likely)
      .may("most_ms", out.most)
      .may("pause_ms", out.pause)
      .may("converges_percent", out.converges_percent)
      .finish();
}

Json encode(const Forecast& value) {
  Json out{{"strategies", encode(value.strategies)},
           {"dirty_set_bytes", value.dirty_set.bytes},
           {"dirty_age_ms", value.dirty_age.count()},
           {"link_bytes_per_second", value.link_rate.value},
           {"link_age_ms", value.link_age.count()},
           {"bandwidth_bytes_per_second", value.bandwidth.value},
           {"read_bytes_per_second", value.read_rate.value},
           {"write_bytes_per_second", value.write_rate.value},
           {"memory_bytes", value.memory.bytes},
           {"disks_bytes", value.disks.bytes},
           {"spared_bytes", value.spared.bytes},
           {"learnt_from", value.learnt_from},
           {"notes", value.notes}};
  if (value.dirty_rate) out["dirty_bytes_per_second"] = value.dirty_rate->value;
  return out;
}

Status decode(const Json& from, const std::string& path, Unknown unknown, Forecast& out) {
  return Fields(from, path, unknown)
      .need("strategies", out.strategies)
      .may("dirty_bytes_per_second", out.dirty_rate)
      .may("dirty_set_bytes", out.dirty_set)
      .may("dirty_age_ms", out.dirty_age)
      .may("link_bytes_per_second", out.link_rate)
      .may("link_age_ms", out.link_age)
      .may("bandwidth_bytes_per_second", out.bandwidth)
      .may("read_bytes_per_second", out.read_rate)
      .may("write_bytes_per_second", out.write_rate)
      .may("memory_bytes", out.memory)
      .may("disks_bytes", out.disks)
      .may("spared_bytes", out.spared)
      .may("learnt_from", out.learnt_from)
      .may("notes", out.notes)
      .finish();
}

}  // namespace drover::json
