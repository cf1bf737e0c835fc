// SPDX-License-Identifier: Apache-2.0
#include "forecast/memory_passes.h"

#include <algorithm>
#include <cmath>

namespace drover::forecast {
namespace {

constexpr double kPassOverhead = 0.05;  // QEMU's own work between two passes
constexpr int kPassesMax = 64;
constexpr double kOfSetMost = 0.98;  // nobody sees how much faster it is changed than in a second
constexpr double kShrinks = 0.9;  // a pass that leaves more than so much of the last one is no help
constexpr double kVerdict = 3;    // seconds until a guest counts as outrunning the link
constexpr double kDecide = 60;    // seconds after which somebody has decided, if nothing ends it

double rate_again(const MemoryScene& scene) { return scene.again > 0 ? scene.again : scene.rate; }

// Nothing is certain of a guest: it may do more, or less, than in the second in which it was
// measured.
double chance(double dirty, double rate) {
  const double share = dirty / rate;
  if (share <= 0.3) return 0.99;
  if (share >= 1.2) return 0.03;
  return 0.99 - (share - 0.3) / 0.9 * 0.96;
}

// The limit is raised to what the last pass left needs and a quarter more.
void end_by_pause(const MemoryScene& scene, double pass, MemoryCopy& copy) {
  const double limit = static_cast<double>(scene.convergence.limit.count());
  copy.seconds += pass;
  copy.sent += copy.left;
  if (pass * 1.25 <= limit) {
    copy.converges = 0.9;
    return;
  }
  copy.converges = 0.1;
  copy.ends_by_itself = false;
  copy.left = std::min(copy.left, limit * rate_again(scene));
}

// From 20 % in steps of 10, one step for two passes, until what is left of the guest fits.
void end_by_slowing(const MemoryScene& scene, double pass, MemoryCopy& copy) {
  const double wanted = 1 - rate_again(scene) * 0.5 / std::max(scene.dirty, 1.0);
  const double steps = std::clamp(std::ceil((wanted - 0.2) / 0.1), 0.0, 8.0) + 1;
  copy.seconds += steps * 2 * pass;
  copy.sent += steps * 2 * copy.left;
  copy.left = rate_again(scene) * kPauseLimit / 2;
  copy.converges = 0.9;
}

void outruns(const MemoryScene& scene, MemoryCopy& copy) {
  const double rate = rate_again(scene);
  const double pass = copy.left / rate + kPassOverhead;
  const double verdict = std::max(kVerdict, 2 * pass);
  copy.seconds += verdict;
  copy.sent += rate * verdict;
  switch (scene.convergence.policy) {
    case ConvergencePolicy::kPause:
      end_by_pause(scene, pass, copy);
      break;
    case ConvergencePolicy::kSlowGuest:
      end_by_slowing(scene, pass, copy);
      return;
    case ConvergencePolicy::kGiveUp:
      copy.seconds += static_cast<double>(scene.convergence.limit.count());
      copy.sent += rate * static_cast<double>(scene.convergence.limit.count());
      copy.left = 0;
      copy.converges = 0.03;
      return;
    case ConvergencePolicy::kWait:
      copy.converges = 0.03;
      copy.ends_by_itself = false;
      copy.left = rate * kPauseLimit;
      break;
  }
  if (!copy.ends_by_itself) {
    copy.seconds += kDecide;
    copy.sent += rate * kDecide;
  }
}

}  // namespace

double dirtied_in(const MemoryScene& scene, double seconds) {
  if (scene.used <= 0 || scene.dirty <= 0) return 0;
  if (scene.set <= 0) return scene.used * (1 - std::exp(-scene.dirty * seconds / scene.used));
  const double set = std::min(scene.set, scene.used);
  const double stays = 1 - std::min(scene.dirty / set, kOfSetMost);  // for a second
  return set * (1 - std::pow(stays, seconds));
}

MemoryCopy copy_memory(const MemoryScene& scene) {
  MemoryCopy copy;
  double left = scene.used;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    const double rate = pass == 0 ? scene.rate : rate_again(scene);
    const double took = left / rate + kPassOverhead;
    copy.seconds += took;
    copy.sent += left;
    const double next = dirtied_in(scene, took);
    copy.left = next;
    if (next <= rate_again(scene) * kPauseLimit) {
      copy.sent += next;
      copy.converges = chance(scene.dirty, rate_again(scene));
      return copy;
    }
    // The first pass is long, so the second may well be as large as it.
    if (pass > 0 && next > left * kShrinks) break;
    left = next;
  }
  outruns(scene, copy);
  return copy;
}

}  // namespace drover::forecast
