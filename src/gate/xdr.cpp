// SPDX-License-Identifier: Apache-2.0
#include "gate/xdr.h"

#include <algorithm>

#include "base/big_endian.h"

namespace drover::gate {
namespace {

constexpr std::size_t padding_of(std::size_t size) { return (4 - size % 4) % 4; }

}  // namespace

std::span<const std::uint8_t> XdrReader::take(std::size_t size) {
  if (!ok_ || size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const auto taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

std::uint32_t XdrReader::u32() {
  const auto word = take(4);
  return word.empty() ? 0 : load_be<std::uint32_t>(word.data());
}

std::uint64_t XdrReader::u64() {
  const auto word = take(8);
  return word.empty() ? 0 : load_be<std::uint64_t>(word.data());
}

bool XdrReader::boolean() {
  const std::uint32_t value = u32();
  if (value > 1) ok_ = false;
  return ok_ && value == 1;
}

std::string XdrReader::bytes(std::size_t bytes_max) {
  const std::uint32_t size = u32();
  if (size > bytes_max) ok_ = false;
  return ok_ ? fixed(size) : std::string();
}

std::string XdrReader::fixed(std::size_t size) {
  const auto value = take(size);
  const auto padding = take(padding_of(size));
  if (std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) ok_ = false;
  if (!ok_) return {};
  return {value.begin(), value.end()};
}

void XdrWriter::u32(std::uint32_t value) {
  out_.resize(out_.size() + 4);
  store_be(out_.data() + out_.size() - 4, value);
}

void XdrWriter::u64(std::uint64_t value) {
  out_.resize(out_.size() + 8);
  store_be(out_.data() + out_.size() - 8, value);
}

void XdrWriter::bytes(std::string_view value) {
  u32(static_cast<std::uint32_t>(value.size()));
  fixed(value);
}

void XdrWriter::fixed(std::string_view value) {
  out_.insert(out_.end(), value.begin(), value.end());
  pad();
}

void XdrWriter::pad() { out_.resize(out_.size() + padding_of(out_.size())); }

}  // namespace drover::gate
