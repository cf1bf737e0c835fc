// SPDX-License-Identifier: Apache-2.0
#include "net/invite_code.h"

#include "base/random.h"

namespace drover::net {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kRandomSymbols = 26;  // 130 bits
constexpr std::size_t kCheckSymbols = 2;
constexpr std::size_t kGroup = 4;

std::string check_symbols(std::string_view symbols) {
  const Digest digest = sha256("drover invite check " + std::string(symbols));
  return {kAlphabet[digest[0] % 32], kAlphabet[digest[1] % 32]};
}

// Crockford: what people confuse is the same symbol. '\0': no symbol.
char symbol_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') return '0';
  if (c == 'I' || c == 'L') return '1';
  return kAlphabet.find(c) == std::string_view::npos ? '\0' : c;
}

}  // namespace

std::string make_invite_code() {
  std::array<std::uint8_t, kRandomSymbols> bytes;
  fill_random(bytes);
  std::string symbols;
  for (const std::uint8_t byte : bytes) symbols += kAlphabet[byte % 32];
  symbols += check_symbols(symbols);
  std::string code;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (i > 0 && i % kGroup == 0) code += '-';
    code += symbols[i];
  }
  return code;
}

Result<InviteSecret> read_invite_code(std::string_view code) {
  std::string symbols;
  for (const char c : code) {
    if (c == '-' || c == ' ') continue;
    const char symbol = symbol_of(c);
    if (symbol == '\0' || symbols.size() == kRandomSymbols + kCheckSymbols) {
      return fail(ErrorCode::kInvalidArgument,
                  "This is not an invite's code. It has seven groups of four letters and digits, "
                  "as printed by "
                  "`drover host invite`.");
    }
    symbols += symbol;
  }
  const std::string_view random = std::string_view(symbols).substr(0, kRandomSymbols);
  if (symbols.size() != kRandomSymbols + kCheckSymbols ||
      !symbols.ends_with(check_symbols(random))) {
    return fail(
        ErrorCode::kInvalidArgument,
        "The invite's code is mistyped. Copy the whole line that `drover host invite` printed.");
  }
  const Digest name = derive_key(random, "drover invite identity v1");
  return InviteSecret{"drover-invite " + to_hex(std::span(name).first(8)),
                      derive_key(random, "drover invite key v1")};
}

}  // namespace drover::net
