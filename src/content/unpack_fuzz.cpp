// SPDX-License-Identifier: Apache-2.0
// Any bytes as the payload of a PACKED frame, and what comes out of it as a batch of two streams:
// no crash, no more bytes than the frame covers. The first three bytes are the frame's raw_length.
#include <cstdlib>
#include <memory>
#include <span>

#include "content/batch.h"
#include "content/decoder.h"
#include "content/destination_content.h"

namespace {

using namespace drover::content;

class Zeros : public DiskReader {
 public:
  drover::Status read(const std::string&, std::span<const std::uint64_t> offsets,
                      std::span<std::uint8_t> out) override {
    if (out.size() != offsets.size() * kBlockBytes) std::abort();
    std::fill(out.begin(), out.end(), 0);
    return {};
  }
};

void decode(Decoder& decoder, const Batch& batch, std::size_t raw_length) {
  const auto bytes = decoder.decode(batch, raw_length);
  if (bytes && *bytes && (*bytes)->size() > raw_length) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 3) return 0;
  const std::size_t raw_length =
      (bytes[0] * 65536u + bytes[1] * 256u + bytes[2]) % ((1u << 20) + 1);
  const auto payload = std::span(bytes, size).subspan(3);
  const auto content = std::make_shared<DestinationContent>(
      ContentKey{}, std::make_shared<Zeros>(), DestinationLimits{.cache_bytes = 4 * kBlockBytes});
  Decoder first(content);
  Decoder second(content);
  // Twice: as the first part of a running frame, and as one that follows.
  for (int part = 0; part < 2; ++part) {
    const auto batch = first.unpack(payload, raw_length);
    if (!batch) break;
    if (batch->literals.size() > raw_length) std::abort();
    for (Decoder* decoder : {&first, &first, &second}) decode(*decoder, *batch, raw_length);
  }
  // As operations too, with as many literals as they want, so that mutations need not keep the
  // sums.
  Batch batch{{payload.begin(), payload.end()}, {}};
  OpReader reader(batch.ops);
  std::size_t covered = 0;
  std::size_t literals = 0;
  while (true) {
    const auto op = reader.next();
    if (!op || !*op || covered > (1u << 20)) break;
    covered += (*op)->raw_bytes();
    literals += (*op)->literal_bytes();
  }
  if (covered > (1u << 20) || literals > covered) return 0;
  batch.literals.resize(literals, 7);
  for (Decoder* decoder : {&first, &first}) decode(*decoder, batch, covered);
  return 0;
}
