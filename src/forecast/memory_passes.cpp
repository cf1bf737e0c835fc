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
// Of pages that are sent as they were, what the mover sees to be so: QEMU's own pages between them
// are others, and a guest changes more in a moment than spread evenly.
constexpr double kSeenUnchanged = 0.8;
constexpr double kVerdict = 3;  // seconds until a guest counts as outrunning the link
constexpr double kDecide = 60;  // seconds after which somebody has decided, if nothing ends it

// What the guest changes at all.
double changing(const MemoryScene& scene) {
  return scene.set > 0 ? std::min(scene.set, scene.used) : scene.used;
}

// How often a second it changes a page of it.
double times_a_second(const MemoryScene& scene) {
  const double part = scene.dirty / changing(scene);
  return scene.set > 0 ? -std::log1p(-std::min(part, kOfSetMost)) : part;
}

// Nothing is certain of a guest: it may do more, or less, than in the second in which it was
// measured.
double chance(double dirty, double rate) {
  const double share = dirty / rate;
  if (share <= 0.3) return 0.99;
  if (share >= 1.2) return 0.03;
  return 0.99 - (share - 0.3) / 0.9 * 0.96;
}

// The limit is raised to what the last pass left needs and a quarter more, and QEMU stops the guest
// as soon as what is left fits.
void end_by_pause(const MemoryScene& scene, double rate, double pass, MemoryCopy& copy) {
  constexpr double kMore = 1.25;
  const double limit = static_cast<double>(scene.convergence.limit.count());
  copy.seconds += pass;
  copy.sent += scene.rate * pass;
  if (pass * kMore <= limit) {
    copy.left = std::min(copy.left * kMore, changing(scene));
    copy.converges = 0.9;
    return;
  }
  copy.converges = 0.1;
  copy.ends_by_itself = false;
  copy.left = std::min(copy.left, limit * rate);
}

// From 20 % in steps of 10, one step for two passes, until what is left of the guest fits.
void end_by_slowing(const MemoryScene& scene, double rate, double pass, MemoryCopy& copy) {
  const double wanted = 1 - rate * 0.5 / std::max(scene.dirty, 1.0);
  const double steps = std::clamp(std::ceil((wanted - 0.2) / 0.1), 0.0, 8.0) + 1;
  copy.seconds += steps * 2 * pass;
  copy.sent += steps * 2 * scene.rate * pass;
  copy.left = rate * kPauseLimit / 2;
  copy.converges = 0.9;
}

// `rate`: of what is sent again.
void outruns(const MemoryScene& scene, double rate, MemoryCopy& copy) {
  const double pass = copy.left / rate + kPassOverhead;
  const double verdict = std::max(kVerdict, 2 * pass);
  copy.seconds += verdict;
  copy.sent += scene.rate * verdict;
  switch (scene.convergence.policy) {
    case ConvergencePolicy::kPause:
      end_by_pause(scene, rate, pass, copy);
      break;
    case ConvergencePolicy::kSlowGuest:
      end_by_slowing(scene, rate, pass, copy);
      return;
    case ConvergencePolicy::kGiveUp:
      copy.seconds += static_cast<double>(scene.convergence.limit.count());
      copy.sent += scene.rate * static_cast<double>(scene.convergence.limit.count());
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
    copy.sent += scene.rate * kDecide;
  }
}

}  // namespace

double dirtied_in(const MemoryScene& scene, double seconds) {
  if (scene.used <= 0 || scene.dirty <= 0) return 0;
  return changing(scene) * -std::expm1(-times_a_second(scene) * seconds);
}

// Of a page that changes at random instants of the pass, and is sent at one of them, the last
// change came before that; by the mean of all pages. Memory that changes again and again does so
// once more.
double unchanged_after(const MemoryScene& scene, double seconds, double part) {
  constexpr double kHardly = 1e-3;  // of a change in all of the pass: then it is the first order
  if (!scene.skips_unchanged || scene.set > 0 || scene.used <= 0 || scene.dirty <= 0) return 0;
  const double times = times_a_second(scene) * seconds;
  const double share = times < kHardly ? 0.5 : 1 / times - 1 / std::expm1(times);
  return kSeenUnchanged * std::min(part, 1.0) * share;
}

MemoryCopy copy_memory(const MemoryScene& scene) {
  MemoryCopy copy;
  double left = scene.used, unchanged = 0, rate = scene.rate;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    const double took = left / rate + kPassOverhead;
    copy.seconds += took;
    copy.sent += left * (1 - unchanged);
    const double next = dirtied_in(scene, took);
    // The first pass takes all that the guest may change.
    const double part = pass == 0 || next <= 0 ? 1 : left / changing(scene);
    unchanged = unchanged_after(scene, took, part);
    rate = scene.rate / (1 - unchanged);
    copy.left = next;
    copy.last = next / rate;
    if (copy.last <= kPauseLimit) {
      copy.sent += next * (1 - unchanged);
      copy.converges = chance(scene.dirty, rate);
      return copy;
    }
    // The first pass is long, so the second may well be as large as it.
    if (pass > 0 && next > left * kShrinks) break;
    left = next;
  }
  outruns(scene, rate, copy);
  copy.last = copy.left / rate;
  return copy;
}

}  // namespace drover::forecast
