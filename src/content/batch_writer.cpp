// SPDX-License-Identifier: Apache-2.0
#include "content/batch_writer.h"

#include <utility>

namespace drover::content {

void BatchWriter::literal(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  if (!open_ || open_->kind != OpKind::kLiteral) {
    flush();
    open_ = Op{.kind = OpKind::kLiteral, .count = 0};
  }
  open_->count += bytes.size();
  batch_.literals.insert(batch_.literals.end(), bytes.begin(), bytes.end());
}

void BatchWriter::named_header(std::uint64_t header, std::span<const std::uint8_t> name) {
  flush();
  append_op(batch_.ops, {.kind = OpKind::kHeader, .where = header, .text = name});
  last_ = header / kBlockBytes;
}

void BatchWriter::record(OpKind kind, std::uint64_t page) { run(kind, page); }

void BatchWriter::page(OpKind kind, std::optional<std::uint64_t> page,
                       std::span<const std::uint8_t> body) {
  run(kind, page);
  batch_.literals.insert(batch_.literals.end(), body.begin(), body.end());
}

void BatchWriter::run(OpKind kind, std::optional<std::uint64_t> page) {
  Op op{.kind = kind};
  set_header(op, page);
  if (open_ && open_->kind == kind && op.mode == HeaderMode::kNext) {
    ++open_->count;
    return;
  }
  flush();
  open_ = op;
}

void BatchWriter::reference(Op op, std::optional<std::uint64_t> page) {
  flush();
  set_header(op, page);
  append_op(batch_.ops, op);
}

void BatchWriter::set_header(Op& op, std::optional<std::uint64_t> page) {
  op.mode = HeaderMode::kNone;
  if (!page) return;
  const std::optional<std::uint64_t> last = std::exchange(last_, page);
  if (!last || *page <= *last) {
    op.mode = HeaderMode::kAt;
    op.page = *page;
  } else if (*page == *last + 1) {
    op.mode = HeaderMode::kNext;
  } else {
    op.mode = HeaderMode::kSkip;
    op.page = *page - *last;
  }
}

void BatchWriter::define_disk(std::uint8_t number, std::span<const std::uint8_t> export_name) {
  flush();
  append_op(batch_.ops, {.kind = OpKind::kDisk, .disk = number, .text = export_name});
}

void BatchWriter::flush() {
  if (open_) append_op(batch_.ops, *open_);
  open_.reset();
}

Batch BatchWriter::finish() {
  flush();
  last_.reset();
  return std::exchange(batch_, {});
}

}  // namespace drover::content
