// SPDX-License-Identifier: Apache-2.0
#include "move/live/pass_book.h"

#include <algorithm>
#include <utility>

namespace drover::move {
namespace {

// Counts never run backwards; those of a mover that is gone may be missing.
std::uint64_t since(std::uint64_t before, std::uint64_t now) { return now - std::min(before, now); }

MemoryPass together(const MemoryPass& first, const MemoryPass& second) {
  MemoryPass both = second;
  both.duration += first.duration;
  both.left = first.left;
  both.sent = {first.sent.bytes + second.sent.bytes};
  both.pages += first.pages;
  both.resent_pages += first.resent_pages;
  both.unchanged_pages += first.unchanged_pages;
  return both;
}

}  // namespace

PassBook::PassBook(std::vector<MemoryPass> known)
    : passes_(std::move(known)), taken_up_(!passes_.empty()) {}

bool PassBook::is_new(const JobProgress& job) const {
  return job.copying_memory && !ended_ &&
         (!under_way_ || passes_.back().number != job.memory_iteration);
}

void PassBook::take(const JobProgress& job, const WireCount& wire, Clock::time_point now) {
  if (!job.copying_memory || ended_) return;
  if (is_new(job)) {
    if (under_way_) count(wire, now);
    begin(job, wire, now);
  }
  count(wire, now);
  passes_.back().dirtied = {job.dirty_pages_per_second * job.page_size};
}

void PassBook::end(const WireCount& wire, Clock::time_point now) {
  if (under_way_ && !ended_) count(wire, now);
  ended_ = true;
}

void PassBook::begin(const JobProgress& job, const WireCount& wire, Clock::time_point now) {
  MemoryPass pass;
  pass.number = job.memory_iteration;
  pass.left = job.memory_left;
  // What went before the first look belongs to the first pass, unless somebody else saw it.
  if (under_way_ || taken_up_) before_ = wire;
  began_ = now;
  under_way_ = true;
  passes_.push_back(pass);
  if (passes_.size() <= kPassesMax) return;
  // The first stays as it is: it tells how large the guest was.
  passes_[1] = together(passes_[1], passes_[2]);
  passes_.erase(passes_.begin() + 2);
}

void PassBook::count(const WireCount& wire, Clock::time_point now) {
  MemoryPass& pass = passes_.back();
  pass.duration = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_);
  pass.sent = {since(before_.memory_taken.bytes, wire.memory_taken.bytes)};
  pass.pages = since(before_.pages, wire.pages);
  pass.resent_pages = since(before_.resent_pages, wire.resent_pages);
  pass.unchanged_pages = since(before_.unchanged_pages, wire.unchanged_pages);
}

}  // namespace drover::move
