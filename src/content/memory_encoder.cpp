// SPDX-License-Identifier: Apache-2.0
#include "content/memory_encoder.h"

#include <algorithm>
#include <utility>

namespace drover::content {

MemoryEncoder::MemoryEncoder(std::shared_ptr<SourceContent> content)
    : content_(std::move(content)), namer_(content_->key()), disks_(content_) {
  content_->add_memory_stream();
}

// The last record that ends within the limit. What cannot be looked ahead at goes as it comes, and
// once the guest has stopped nothing is kept waiting.
std::size_t MemoryEncoder::cut(std::span<const std::uint8_t> raw) const {
  const std::size_t limit = std::min(raw.size(), kBatchRawBytesMax);
  if (!carried_.empty() || skip_ >= limit) return limit;
  MemoryParser::Position ahead = parser_.position();
  std::size_t at = skip_;
  while (at < limit) {
    if (ahead.phase == MemoryParser::Position::kRecords && !parser_.knows_blocks()) break;
    const MemoryToken token = parser_.peek(ahead, raw.subspan(at));
    if (token.kind == MemoryToken::kOpaque) return limit;
    const std::size_t size = token.head_bytes + token.body_bytes;
    if (token.kind == MemoryToken::kMore || size > limit - at) break;
    at += size;
  }
  const bool hurry = ahead.guest_stopped && raw.size() <= kBatchRawBytesMax;
  return at == 0 || hurry ? limit : at;
}

// What its pages hold is not known any more: it comes without names.
bool MemoryEncoder::passes(std::span<const std::uint8_t> raw) {
  if (content_->names_content()) return false;
  passing_ = true;
  go_through(raw);
  passing_ = false;
  return true;
}

Batch MemoryEncoder::encode(std::span<const std::uint8_t> raw) {
  go_through(raw);
  return writer_.finish();
}

void MemoryEncoder::go_through(std::span<const std::uint8_t> raw) {
  std::size_t at = finish_record(raw);
  while (at < raw.size()) at += encode_token(raw.subspan(at));
}

std::size_t MemoryEncoder::finish_record(std::span<const std::uint8_t> raw) {
  if (!carried_.empty()) {
    const std::size_t known = carried_.size();
    const auto more = raw.first(std::min(raw.size(), MemoryParser::kHeadBytesMax));
    carried_.insert(carried_.end(), more.begin(), more.end());
    const MemoryToken token = parser_.next(carried_);
    notice_stop();
    if (token.kind == MemoryToken::kMore) {  // only if all of raw is carried: heads are short
      literal(raw);
      return raw.size();
    }
    carried_.clear();
    // Unknown after all: nothing is skipped, and all that follows is unknown too.
    if (token.kind == MemoryToken::kOpaque) return 0;
    skip_ = token.head_bytes + token.body_bytes - known;
    // Half of the page was sent before it could be looked at.
    if (token.kind != MemoryToken::kPlain && table_ != nullptr) table_->forget(token.index);
  }
  const std::size_t skipped = std::min(skip_, raw.size());
  skip_ -= skipped;
  literal(raw.first(skipped));
  return skipped;
}

void MemoryEncoder::notice_stop() {
  if (!parser_.position().guest_stopped || urgent_) return;
  urgent_ = true;
  content_->guest_has_stopped();
}

std::size_t MemoryEncoder::encode_token(std::span<const std::uint8_t> rest) {
  const MemoryToken token = parser_.next(rest);
  const std::size_t size = token.head_bytes + token.body_bytes;
  notice_stop();
  switch (token.kind) {
    case MemoryToken::kMore:
      carried_.assign(rest.begin(), rest.end());
      literal(rest);
      return rest.size();
    case MemoryToken::kOpaque:
      literal(rest);
      return rest.size();
    case MemoryToken::kZero:
      begin_pages();
      encode_zero(token, rest.first(size));
      return size;
    case MemoryToken::kPage:
      begin_pages();
      if (size > rest.size()) {
        table_->forget(token.index);
        break;
      }
      encode_page({token, rest.first(size)});
      return size;
    case MemoryToken::kPlain:
      break;
  }
  const std::size_t here = std::min(size, rest.size());
  skip_ = size - here;
  literal(rest.first(here));
  return here;
}

void MemoryEncoder::begin_pages() {
  if (table_ != nullptr) return;
  table_ = std::make_unique<PageTable>(parser_.pages(), content_->page_table_bytes());
  keeper_ = content_->claim_keeper();
  if (!content_->limits().references) return;
  if (content_->claim_cache()) ring_ = std::make_unique<PageRing>(content_->limits().cache_bytes);
}

void MemoryEncoder::encode_zero(const MemoryToken& token, std::span<const std::uint8_t> record) {
  table_->forget(token.index);
  content_->tally().zero_pages.fetch_add(1, std::memory_order_relaxed);
  if (passing_) return;
  if ((token.header & kFlagContinue) != 0) {
    writer_.record(OpKind::kZeroPages, token.header / kBlockBytes);
    return;
  }
  writer_.named_header(token.header,
                       record.subspan(kRecordHeaderBytes).first(record.size() - kZeroRecordBytes));
  literal(record.last(1));
}

void MemoryEncoder::encode_page(const Page& page) {
  const MemoryToken& token = page.token;
  Tally& tally = content_->tally();
  if (table_->mark_sent(token.index)) tally.resent_pages.fetch_add(1, std::memory_order_relaxed);
  if (passing_) {
    table_->forget(token.index);
    return keep(page);
  }
  std::optional<std::uint64_t> number = token.header / kBlockBytes;
  if (page.names_block()) {
    const auto head = page.record.first(token.head_bytes);
    writer_.named_header(token.header, head.subspan(kRecordHeaderBytes));
    number.reset();
  }
  if (!content_->limits().references || !content_->names_content()) {
    table_->forget(token.index);
    keep(page);
    return write_page(page, number, {});
  }
  const Name name = namer_.name(page.body());
  const bool unchanged = table_->holds(token.index, name);
  table_->put(token.index, name);
  // One that names its block is never dropped: the records after it count on that name.
  if (unchanged && number && content_->only_memory_stream()) {
    writer_.record(OpKind::kSamePages, *number);
    tally.same_pages.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (!unchanged) keep(page);
  if (!refer(name, number)) write_page(page, number, name);
}

// Not in the pause, which it would prolong.
void MemoryEncoder::keep(const Page& page) {
  if (keeper_ && !urgent_) keeper_->keep(page.token.index, page.body());
}

// One with a name enters the receiver's cache.
void MemoryEncoder::write_page(const Page& page, std::optional<std::uint64_t> number,
                               const std::optional<Name>& name) {
  Tally& tally = content_->tally();
  const bool cached = ring_ && name;
  writer_.page(cached ? OpKind::kPages : OpKind::kPlainPages, number, page.body());
  if (cached) ring_->put(*name);
  tally.literal_pages.fetch_add(1, std::memory_order_relaxed);
  tally.literal_bytes.fetch_add(kBlockBytes, std::memory_order_relaxed);
}

// Disks only while the guest runs: reading them back would prolong its pause.
bool MemoryEncoder::refer(const Name& name, std::optional<std::uint64_t> number) {
  Tally& tally = content_->tally();
  if (const std::uint64_t age = ring_ ? ring_->find(name) : 0; age > 0) {
    writer_.reference({.kind = OpKind::kCachedPage, .where = age, .name = name}, number);
    tally.cached_pages.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  const auto at = disks_.find(name);
  if (!at) return false;
  disks_.write(*at, name, number, writer_);
  tally.of_reference(at->disk, tally.disk_pages).fetch_add(1, std::memory_order_relaxed);
  return true;
}

void MemoryEncoder::literal(std::span<const std::uint8_t> bytes) {
  if (passing_) return;
  writer_.literal(bytes);
  content_->tally().literal_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
}

}  // namespace drover::content
