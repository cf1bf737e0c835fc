// SPDX-License-Identifier: Apache-2.0
// The forecast itself: a pure function of a scene and experience. docs/forecast.md explains it.
#pragma once

#include "forecast/experience.h"
#include "forecast/scene.h"
#include "model/forecast.h"

namespace drover::forecast {

// In seconds and bytes, by parts.
struct Parts {
  double disks = 0;   // until they are copied
  double memory = 0;  // until the guest stands still, or has been saved, carried and restored
  double pause = 0;   // that the guest stands still
  double proof = 0;
  double rest = 0;
  double wire = 0;
  double converges = 1;
  bool ends_by_itself = true;
  // The pause is a part of the move in all kinds.
  double total() const { return disks + memory + pause + proof + rest; }
};
Parts parts_of(const Scene& scene, const Experience& experience);

// Of the guest's bytes, what a road such as the scene's usually carries in a second.
double usual_rate(const Scene& scene);

// By one strategy.
StrategyForecast predict(const Scene& scene, const Experience& experience);

// With the scene's own strategy first, and what else the VM could take. `moves`: see learn().
Forecast make_forecast(const Scene& scene, std::string_view destination, std::string_view vm_uuid,
                       std::span<const Move> moves);

}  // namespace drover::forecast
