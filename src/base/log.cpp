// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <cstdlib>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace drover::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string_view journal_prefix(Level level) {
  switch (level) {
    case Level::kDebug:
      return "<7>";
    case Level::kInfo:
      return "<6>";
    case Level::kWarning:
      return "<4>";
    case Level::kError:
      return "<3>";
  }
  return "<6>";
}

bool under_journal() {
  static const bool value = std::getenv("JOURNAL_STREAM") != nullptr;
  return value;
}

}  // namespace

void start(std::string_view program, Level least) {
  auto logger = spdlog::stderr_logger_mt(std::string(program));
  logger->set_pattern(under_journal() ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %n %l: %v",
                      spdlog::pattern_time_type::utc);
  logger->set_level(to_spdlog(least));
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void write(Level level, std::string_view text) {
  if (under_journal()) {
    spdlog::log(to_spdlog(level), "{}{}", journal_prefix(level), text);
  } else {
    spdlog::log(to_spdlog(level), "{}", text);
  }
}

}  // namespace drover::log
