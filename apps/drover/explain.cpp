// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

namespace drover::cli {
namespace {

constexpr std::string_view kHeading = "### ";

bool is_code(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return line;
}

// [words](link) becomes words; `code` and **bold** lose their marks.
std::string without_marks(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '`' || line.substr(i).starts_with("**")) {
      i += line[i] == '`' ? 0 : 1;
      continue;
    }
    const auto middle = line[i] == '[' ? line.find("](", i) : std::string_view::npos;
    const auto end = middle == std::string_view::npos ? middle : line.find(')', middle);
    if (end == std::string_view::npos) {
      out += line[i];
      continue;
    }
    out += without_marks(line.substr(i + 1, middle - i - 1));
    i = end;
  }
  return out;
}

// Calls `take` with each section's code and text.
template <typename Take>
void each_section(const Take& take) {
  for (std::string_view page : explain_pages()) {
    std::string code, text;
    const auto finish = [&] {
      while (text.ends_with('\n')) text.pop_back();
      if (!code.empty()) take(code, text + "\n");
      code.clear();
      text.clear();
    };
    while (!page.empty()) {
      const std::string_view line = next_line(page);
      if (line.starts_with('#')) {
        finish();
        if (line.starts_with(kHeading) && is_code(line.substr(kHeading.size())))
          code = line.substr(kHeading.size());
      } else if (!code.empty()) {
        text += without_marks(line) + "\n";
      }
    }
    finish();
  }
}

}  // namespace

std::vector<std::string> explained_codes() {
  std::set<std::string> codes;
  each_section([&](const std::string& code, const std::string&) { codes.insert(code); });
  return {codes.begin(), codes.end()};
}

Result<std::string> explain(std::string_view code) {
  std::string wanted(code);
  std::ranges::transform(wanted, wanted.begin(), [](char c) {
    return c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  std::string out;
  each_section([&](const std::string& known, const std::string& text) {
    if (known == wanted) out += (out.empty() ? "" : "\n") + text;
  });
  if (!out.empty()) return wanted + "\n" + out;
  std::vector<std::string> like;
  const std::string begin = wanted.substr(0, wanted.find('_'));
  for (const auto& known : explained_codes()) {
    if (!begin.empty() && known.contains(begin)) like.push_back(known);
  }
  return fail(ErrorCode::kNotFound, "No finding is called {}.{}", code,
              like.empty() ? std::string(" All of them: drover explain --list.")
                           : fmt::format(" Is it one of these? {}.", fmt::join(like, ", ")));
}

}  // namespace drover::cli
