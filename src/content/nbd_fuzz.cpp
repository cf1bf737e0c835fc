// SPDX-License-Identifier: Apache-2.0
// Both sides of an NBD connection, as any bytes: they pass unchanged, whatever they mean. Each part
// of the input begins with a byte: its lowest bit says who speaks, the others how many bytes.
#include <cstdlib>
#include <memory>
#include <span>

#include "content/decoder.h"
#include "content/encoder.h"

using namespace drover::content;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto source = std::make_shared<SourceContent>(
      ContentKey{}, SourceLimits{.index_bytes = 2000, .cache_bytes = 0});
  const auto destination = std::make_shared<DestinationContent>(ContentKey{});
  source->refer_to_disks(true);
  Encoder encoder(source, StreamKind::kDisk);
  Decoder decoder(destination);
  for (auto rest = std::span(bytes, size); !rest.empty();) {
    const std::uint8_t head = rest[0];
    // A few words for much, so that whole blocks are written by short inputs.
    std::vector<std::uint8_t> said;
    if (head >= 0xfc) {
      said.assign((head & 2) != 0 ? kBlockBytes : 700, head);
      rest = rest.subspan(1);
    } else {
      const std::size_t length = std::min<std::size_t>(head / 2, rest.size() - 1);
      said.assign(rest.begin() + 1, rest.begin() + 1 + static_cast<std::ptrdiff_t>(length));
      rest = rest.subspan(1 + length);
    }
    if ((head & 1) != 0) {
      encoder.take_answers(said);
      continue;
    }
    const Batch batch = encoder.encode(said);
    auto got = decoder.decode(batch, said.size());
    if (got && !*got) got = decoder.decode(mend(said, batch.ops), said.size());
    if (!got || !*got || **got != said) std::abort();
  }
  return 0;
}
