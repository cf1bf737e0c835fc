// SPDX-License-Identifier: Apache-2.0
#include "display_width.h"

#include <utility>

#include <fmt/core.h>
#include <locale.h>
#include <wchar.h>

namespace drover::cli {
namespace {

// wcwidth(3) knows only the letters of the current locale; this makes it a UTF-8 one for a while.
class Utf8Locale {
 public:
  Utf8Locale() : before_(::uselocale(locale())) {}
  ~Utf8Locale() { ::uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  // Built into glibc since 2.35. Lives as long as the program.
  static locale_t locale() {
    static const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", locale_t{});
    return utf8;
  }
  locale_t before_;
};

struct Letter {
  std::string_view bytes;
  int width = -1;  // below 0: not to be shown as it is
};

// REQUIRES: a Utf8Locale lives; text is not empty.
Letter first_letter(std::string_view text) {
  wchar_t wide = 0;
  mbstate_t state{};
  const std::size_t length = ::mbrtowc(&wide, text.data(), text.size(), &state);
  if (length == 0 || length > text.size()) return {text.substr(0, 1), -1};
  return {text.substr(0, length), ::wcwidth(wide)};
}

}  // namespace

std::string printable(std::string_view text) {
  const Utf8Locale locale;
  std::string out;
  while (!text.empty()) {
    const Letter letter = first_letter(text);
    if (letter.width >= 0) {
      out += letter.bytes;
    } else {
      for (const char c : letter.bytes)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    text.remove_prefix(letter.bytes.size());
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  const Utf8Locale locale;
  std::size_t width = 0;
  while (!text.empty()) {
    const Letter letter = first_letter(text);
    width += letter.width > 0 ? static_cast<std::size_t>(letter.width) : 0;
    text.remove_prefix(letter.bytes.size());
  }
  return width;
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t own = display_width(text);
  return std::string(text) + std::string(width > own ? width - own : 0, ' ');
}

std::string padded_left(std::string_view text, std::size_t width) {
  const std::size_t own = display_width(text);
  return std::string(width > own ? width - own : 0, ' ') + std::string(text);
}

std::string cut(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const Utf8Locale locale;
  std::string out;
  std::size_t used = 1;  // the "…"
  while (!text.empty()) {
    const Letter letter = first_letter(text);
    used += letter.width > 0 ? static_cast<std::size_t>(letter.width) : 0;
    if (used > width) break;
    out += letter.bytes;
    text.remove_prefix(letter.bytes.size());
  }
  return width == 0 ? "" : out + "…";
}

}  // namespace drover::cli
