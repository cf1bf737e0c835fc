// SPDX-License-Identifier: Apache-2.0
// A migration stream made of the input's words, right and wrong ones, cut where it says: what comes
// out means what went in. Where nothing was dropped it is the very same bytes.
#include <cstdlib>
#include <memory>
#include <span>

#include "content/decoder.h"
#include "content/encoder.h"
#include "content/memory_stream_fixture.h"

namespace {

using namespace drover::content;

struct Carrier {
  std::shared_ptr<SourceContent> source = std::make_shared<SourceContent>(
      ContentKey{}, SourceLimits{.index_bytes = 4096, .cache_bytes = 5 * kBlockBytes});
  Encoder encoder{source, StreamKind::kMemory};
  Decoder decoder{std::make_shared<DestinationContent>(
      ContentKey{}, nullptr, DestinationLimits{.cache_bytes = 3 * kBlockBytes})};
  Bytes kept, output;

  void flush() {
    while (!kept.empty()) {
      const std::size_t size = encoder.cut(kept);
      if (size == 0 || size > kBatchRawBytesMax) std::abort();
      const Bytes raw(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(size));
      kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(size));
      const Batch batch = encoder.encode(raw);
      if (kPackedHeaderBytes + batch.ops.size() + batch.literals.size() > size + kPackedOverheadMax)
        std::abort();
      auto got = decoder.decode(batch, size);
      if (!got) std::abort();
      if (!*got) got = decoder.decode(mend(raw, batch.ops), size);
      if (!got || !*got) std::abort();
      output.insert(output.end(), (*got)->begin(), (*got)->end());
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  MemoryStream stream({{"ram", 16}, {"rom", 3}});
  Carrier carrier;
  Bytes input;
  bool right = true;  // only words that QEMU says
  bool in_section = false;
  const auto begin = [&] {
    if (!std::exchange(in_section, true)) stream.part();
  };
  for (auto words = std::span(bytes, size); words.size() >= 2; words = words.subspan(2)) {
    const unsigned value = words[1];
    switch (words[0] % 8) {
      case 0:
      case 1:
      case 2:
        begin();
        stream.page(value < 230 ? "ram" : "rom", value < 230 ? value % 16 : value % 3,
                    words[0] / 8 % 12);
        break;
      case 3:
        if (std::exchange(in_section, false)) stream.end_section();
        break;
      case 4:
        right = false;
        stream.bytes.push_back(words[1]);
        break;
      case 5:
        right = false;
        add_be<std::uint64_t>(stream.bytes, words[0] / 8 * kBlockBytes | value);
        break;
      case 6:
        if (in_section) break;
        stream.last_part();
        in_section = true;
        break;
      case 7: {  // a cut, the value's eighth-bytes before what is there
        const std::size_t keep = std::min<std::size_t>(value * 17, stream.bytes.size());
        const auto end = stream.bytes.end() - static_cast<std::ptrdiff_t>(keep);
        input.insert(input.end(), stream.bytes.begin(), end);
        carrier.kept.insert(carrier.kept.end(), stream.bytes.begin(), end);
        stream.bytes.erase(stream.bytes.begin(), end);
        carrier.flush();
        break;
      }
    }
  }
  if (in_section) stream.end_section();
  input.insert(input.end(), stream.bytes.begin(), stream.bytes.end());
  carrier.kept.insert(carrier.kept.end(), stream.bytes.begin(), stream.bytes.end());
  carrier.flush();
  if (carrier.source->tally().same_pages == 0 && carrier.output != input) std::abort();
  if (right) {
    const ReceivedMemory wanted(input);
    const ReceivedMemory got(carrier.output);
    if (wanted.pages != got.pages || wanted.rest != got.rest) std::abort();
  }
  return 0;
}
