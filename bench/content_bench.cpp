// SPDX-License-Identifier: Apache-2.0
// What describing and rebuilding streams costs, without sockets: one thread, each stage on its own,
// MB of the raw stream a second of processor time, and what the stage made. Usage: content_bench
// [FILE]: a migration stream (`migrate exec:cat`), else one is made like the guest of
// docs/benchmarks.md: half of its pages on its disk, an eighth duplicates, a third sent again.
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>

#include <time.h>

#include "content/decoder.h"
#include "content/encoder.h"
#include "content/memory_stream_fixture.h"
#include "content/nbd_stream_fixture.h"

namespace drover::content {
namespace {

constexpr std::uint64_t kPages = 24000;
constexpr std::uint64_t kWriteBytes = 1u << 20;

// Content as dense as a guest's: words of a small dictionary among random bytes.
Bytes guest_page(std::uint64_t content) {
  std::mt19937_64 random(content);
  Bytes page;
  while (page.size() < kBlockBytes) {
    const std::uint64_t word = random();
    const std::size_t size = word % 4 == 0 ? 8 : 4 + word % 20;
    std::uint64_t state = word % 4 == 0 ? word : word % 200;
    for (std::size_t i = 0; i < size; ++i) {
      page.push_back(static_cast<std::uint8_t>('a' + state % 64));
      state = state / 5 + i;
    }
  }
  page.resize(kBlockBytes);
  return page;
}

struct Made {
  Bytes disk;
  Bytes memory;
};

Made make_streams() {
  Made made;
  for (std::uint64_t i = 0; i < kPages / 2; ++i) {
    const Bytes page = guest_page(i + 1);
    made.disk.insert(made.disk.end(), page.begin(), page.end());
  }
  std::mt19937 random(1);
  MemoryStream stream({{"ram", kPages * 2}});
  std::vector<std::uint64_t> holds(kPages * 2);
  for (int pass = 0; pass < 2; ++pass) {
    stream.part();
    for (std::uint64_t page = 0; page < kPages * 2; ++page) {
      const std::uint64_t kind = random() % 100;
      if (pass == 1 && kind > 16) continue;
      if (pass == 0 || kind < 5) {
        const std::uint64_t former = page > 300 ? holds[page - 1 - random() % 300] : 0;
        holds[page] = kind % 2 == 0 ? 0
                      : kind < 50   ? 1 + random() % (kPages / 2)
                      : kind < 62   ? former
                                    : kPages + random() % 1000000;
      }
      stream.page_bytes("ram", page, holds[page] == 0 ? Bytes{} : guest_page(holds[page]));
    }
    stream.end_section();
  }
  made.memory = std::move(stream.bytes);
  return made;
}

struct Way {
  const char* name;
  Compression compression;
};
constexpr Way kWays[] = {{"stored", {}},
                         {"lz4", {Compression::kLz4, 1}},
                         {"zstd 3", {Compression::kZstd, 3}},
                         {"zstd 9", {Compression::kZstd, 9}},
                         {"running 2", {Compression::kRunningZstd, 2}},
                         {"running 3", {Compression::kRunningZstd, 3}},
                         {"running 7", {Compression::kRunningZstd, 7}},
                         {"zstd 1", {Compression::kZstd, 1}}};

struct Range {
  std::size_t size;
  Batch batch;
  Bytes payload;
};

// Of this thread's processor time, so that other work on the machine does not count.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// `work` gives the bytes that it made.
void report(const char* stage, std::size_t raw_bytes, const std::function<std::size_t()>& work) {
  const double start = cpu_seconds();
  const std::size_t out_bytes = work();
  std::printf("  %-12s %7.0f MB/s  %6.1f MB\n", stage,
              static_cast<double>(raw_bytes) / 1e6 / (cpu_seconds() - start),
              static_cast<double>(out_bytes) / 1e6);
}

// Each stage works on all of the stream, so that none measures another.
void measure(const char* name, const Bytes& raw, Encoder& encoder, Decoder& decoder) {
  std::printf("%s, %.0f MB\n", name, static_cast<double>(raw.size()) / 1e6);
  std::vector<Range> ranges;
  report("encode", raw.size(), [&] {
    std::size_t literals = 0;
    for (std::size_t at = 0; at < raw.size();) {
      const auto rest = std::span(raw).subspan(at);
      const std::size_t size = encoder.cut(rest);
      ranges.push_back({size, encoder.encode(rest.first(size)), {}});
      literals += ranges.back().batch.literals.size();
      at += size;
    }
    return literals;
  });
  for (const Way& way : kWays) {
    report(way.name, raw.size(), [&] {
      RunningPacker running;
      std::size_t wire = 0;
      for (Range& range : ranges) {
        range.payload = pack(range.batch, way.compression, &running);
        wire += range.payload.size();
      }
      return wire;
    });
  }
  report("unpack zstd", raw.size(), [&] {
    std::size_t literals = 0;
    for (Range& range : ranges) {
      range.batch = std::move(*unpack(range.payload, range.size));
      literals += range.batch.literals.size();
    }
    return literals;
  });
  std::size_t misses = 0;
  report("decode", raw.size(), [&] {
    std::size_t out = 0;
    for (const Range& range : ranges) {
      const auto got = *decoder.decode(range.batch, range.size);
      out += got ? got->size() : 0;
      misses += got ? 0u : 1u;
    }
    return out;
  });
  if (misses > 0) std::printf("  %zu ranges missed\n", misses);
}

int run(int argc, char** argv) {
  Made made;
  if (argc > 1) {
    std::ifstream file(argv[1], std::ios::binary);
    made.memory = {std::istreambuf_iterator<char>(file), {}};
  } else {
    made = make_streams();
  }
  const auto disks = std::make_shared<TestDisks>();
  const auto source = std::make_shared<SourceContent>(ContentKey{1});
  const auto destination = std::make_shared<DestinationContent>(ContentKey{1}, disks);
  source->refer_to_disks(true);
  if (!made.disk.empty()) {
    NbdClient client("vda");
    Encoder encoder(source, StreamKind::kDisk);
    Decoder decoder(destination);
    encoder.take_answers(server_greeting());
    std::uint64_t cookie = 0;
    for (std::size_t at = 0; at < made.disk.size(); at += kWriteBytes) {
      const auto end = std::min(made.disk.size(), at + kWriteBytes);
      client.write(++cookie, at,
                   {made.disk.begin() + static_cast<std::ptrdiff_t>(at),
                    made.disk.begin() + static_cast<std::ptrdiff_t>(end)});
      disks->write("vda", at,
                   {made.disk.begin() + static_cast<std::ptrdiff_t>(at),
                    made.disk.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    measure("disk", client.take(), encoder, decoder);
    for (; cookie > 0; --cookie) encoder.take_answers(simple_reply(cookie));
  }
  Encoder encoder(source, StreamKind::kMemory);
  Decoder decoder(destination);
  measure("memory", made.memory, encoder, decoder);
  const Tally& tally = source->tally();
  std::printf("pages: zero %llu, same %llu, cached %llu, on disk %llu, literal %llu\n",
              static_cast<unsigned long long>(tally.zero_pages),
              static_cast<unsigned long long>(tally.same_pages),
              static_cast<unsigned long long>(tally.cached_pages),
              static_cast<unsigned long long>(tally.disk_pages),
              static_cast<unsigned long long>(tally.literal_pages));
  return 0;
}

}  // namespace
}  // namespace drover::content

int main(int argc, char** argv) { return drover::content::run(argc, argv); }
