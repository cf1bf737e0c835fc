// SPDX-License-Identifier: Apache-2.0
#include "model/convergence.h"

#include <charconv>

#include <fmt/core.h>

namespace drover {
namespace {

std::unexpected<Error> not_known(std::string_view text) {
  return fail(ErrorCode::kInvalidArgument,
              "\"{}\" is no convergence policy. There are wait, slow-guest, pause:SECONDS (1 to "
              "{}) and give-up:SECONDS (1 to {}).",
              text, kPauseMost.count(), kGiveUpMost.count());
}

}  // namespace

std::string convergence_text(const Convergence& convergence) {
  switch (convergence.policy) {
    case ConvergencePolicy::kWait:
      return "wait";
    case ConvergencePolicy::kSlowGuest:
      return "slow-guest";
    case ConvergencePolicy::kPause:
      return fmt::format("pause:{}", convergence.limit.count());
    case ConvergencePolicy::kGiveUp:
      return fmt::format("give-up:{}", convergence.limit.count());
  }
  return "wait";
}

Result<Convergence> parse_convergence(std::string_view text) {
  if (text == "wait") return Convergence{ConvergencePolicy::kWait};
  if (text == "slow-guest") return Convergence{ConvergencePolicy::kSlowGuest};
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  Convergence out{ConvergencePolicy::kPause, kPauseUsual};
  auto most = kPauseMost;
  if (name == "give-up") {
    out = {ConvergencePolicy::kGiveUp, kGiveUpUsual};
    most = kGiveUpMost;
  } else if (name != "pause") {
    return not_known(text);
  }
  if (colon == std::string_view::npos) return out;
  const std::string_view digits = text.substr(colon + 1);
  std::int32_t seconds = 0;
  const auto end = digits.data() + digits.size();
  const auto [rest, trouble] = std::from_chars(digits.data(), end, seconds);
  if (trouble != std::errc() || rest != end || seconds < 1 || seconds > most.count())
    return not_known(text);
  out.limit = std::chrono::seconds(seconds);
  return out;
}

}  // namespace drover
