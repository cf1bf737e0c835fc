// SPDX-License-Identifier: Apache-2.0
// Throughput of a pair of movers over TCP on the loopback, TLS on both sides included: what a plain
// live move on one machine would see. Then a guest's memory, as QEMU would send it, with content.
// Usage: mover_bench [MiB [LINKS [STREAMS]]]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <span>
#include <thread>

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "content/memory_stream_fixture.h"
#include "mover/session_fixture.h"
#include "net/link_socket.h"

namespace drover::mover {
namespace {

using Clock = std::chrono::steady_clock;

void link_over_tcp(SessionPair& pair, std::uint32_t number) {
  const UniqueFd listener = std::move(*net::listen_tcp({"127.0.0.1", 0}));
  UniqueFd dialled =
      std::move(*net::dial_tcp(*net::local_address(listener.get()), SessionPair::limit()));
  UniqueFd accepted = std::move(*net::accept_one(listener.get(), SessionPair::limit()));
  DROVER_CHECK(pair.destination->add_link(number, std::move(accepted)).has_value());
  DROVER_CHECK(pair.source->add_link(number, std::move(dialled)).has_value());
}

void feed(int fd, std::uint64_t bytes) {
  // As QEMU writes guest memory: many pages at once. Nothing to gain in them.
  std::vector<std::uint8_t> piece(128 * 1024);
  std::mt19937_64 random(3);
  for (auto& byte : piece) byte = static_cast<std::uint8_t>(random());
  while (bytes > 0) {
    const ssize_t n = ::send(fd, piece.data(), std::min<std::uint64_t>(piece.size(), bytes), 0);
    DROVER_CHECK(n > 0);
    bytes -= static_cast<std::uint64_t>(n);
  }
  ::shutdown(fd, SHUT_WR);
}

void drain(int fd) {
  std::vector<std::uint8_t> piece(256 * 1024);
  while (::recv(fd, piece.data(), piece.size(), 0) > 0) {
  }
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void throughput(std::uint64_t mib, std::uint32_t links, std::uint64_t streams) {
  SessionPair pair;
  for (std::uint32_t number = 1; number <= links; ++number) link_over_tcp(pair, number);
  std::vector<SessionPair::Ends> ends;
  for (std::uint64_t i = 0; i < streams; ++i)
    ends.push_back(std::move(*pair.open(StreamKind::kMemory)));
  const std::uint64_t bytes = (mib << 20) / streams;
  const auto start = Clock::now();
  const double cpu_start = cpu_seconds();
  {
    std::vector<std::jthread> threads;
    for (const auto& end : ends) {
      threads.emplace_back([&] { feed(end.source.get(), bytes); });
      threads.emplace_back([&] { drain(end.destination.get()); });
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double megabytes = static_cast<double>(bytes * streams) / 1e6;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "%llu MiB, %u links, %llu streams: %.0f MB/s, %.2f CPU-seconds a GB, %ld MiB resident\n",
      static_cast<unsigned long long>(mib), links, static_cast<unsigned long long>(streams),
      megabytes / seconds, (cpu_seconds() - cpu_start) / megabytes * 1e3, usage.ru_maxrss / 1024);
}

// A gigabyte of guest memory in two passes: a fifth of it zeroes, an eighth duplicates, of the
// second pass two thirds unchanged. What is neither compresses to about a third.
content::Bytes guest_memory(std::uint64_t mib) {
  const std::uint64_t pages = (mib << 20) / content::kBlockBytes;
  content::MemoryStream stream({{"pc.ram", pages}});
  stream.bytes.reserve((mib << 20) * 3 / 2);
  const auto text = [](std::uint64_t number) {
    content::Bytes page = content::page_of(number);
    for (std::size_t i = 0; i < page.size(); ++i) {
      if (i % 16 >= 6) page[i] = static_cast<std::uint8_t>(i);
    }
    return page;
  };
  for (int pass = 0; pass < 2; ++pass) {
    stream.part();
    for (std::uint64_t page = 0; page < pages; ++page) {
      const std::uint64_t kind = (page * 2654435761u >> 7) % 40;
      if (kind < 8 && pass == 0) stream.page("pc.ram", page, 0);
      if (kind < 8 || (pass == 1 && page % 4 != 0)) continue;
      const bool changed = pass == 1 && page % 3 == 0;
      stream.page_bytes("pc.ram", page,
                        text(kind < 13 ? page % 1000 + 1 : page + (changed ? pages : 0)));
    }
    stream.end_section();
  }
  stream.device_state(200'000);
  return std::move(stream.bytes);
}

void memory_throughput(std::uint64_t mib, std::optional<std::size_t> way) {
  const content::Bytes bytes = guest_memory(mib);
  SessionPair pair({.fixed_way = way});
  link_over_tcp(pair, 1);
  const auto ends = std::move(*pair.open(StreamKind::kMemory));
  const auto start = Clock::now();
  const double cpu_start = cpu_seconds();
  {
    const std::jthread writer([&] {
      std::span<const std::uint8_t> left(bytes);
      while (!left.empty()) {
        const ssize_t n = ::send(ends.source.get(), left.data(),
                                 std::min<std::size_t>(left.size(), 128 * 1024), 0);
        DROVER_CHECK(n > 0);
        left = left.subspan(static_cast<std::size_t>(n));
      }
      ::shutdown(ends.source.get(), SHUT_WR);
    });
    drain(ends.destination.get());
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double megabytes = static_cast<double>(bytes.size()) / 1e6;
  const auto status = pair.source->status();
  std::printf("memory, %s %zu: %.0f MB/s, %.2f CPU-seconds a GB, %.1f %% on the wire\n",
              way ? "way" : "adaptive, last way", way.value_or(status.pack_way),
              megabytes / seconds, (cpu_seconds() - cpu_start) / megabytes * 1e3,
              static_cast<double>(status.bytes_sent) / megabytes / 1e4);
}

// Small requests and answers, as NBD and RPC make them.
void round_trips(int count) {
  SessionPair pair;
  link_over_tcp(pair, 1);
  auto ends = std::move(*pair.open(StreamKind::kDisks));
  std::jthread echo([&] {
    char bytes[64];
    while (true) {
      const ssize_t n = ::recv(ends.destination.get(), bytes, sizeof bytes, 0);
      if (n <= 0 || ::send(ends.destination.get(), bytes, static_cast<std::size_t>(n), 0) != n)
        return;
    }
  });
  const auto start = Clock::now();
  for (int i = 0; i < count; ++i) {
    char bytes[28] = {};
    DROVER_CHECK(::send(ends.source.get(), bytes, sizeof bytes, 0) == sizeof bytes);
    DROVER_CHECK(::recv(ends.source.get(), bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  ::shutdown(ends.source.get(), SHUT_WR);
  std::printf("round trip of 28 bytes: %.0f us\n", seconds / count * 1e6);
}

}  // namespace
}  // namespace drover::mover

int main(int argc, char** argv) {
  const auto number = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  drover::mover::throughput(number(1, 2048), static_cast<std::uint32_t>(number(2, 1)),
                            number(3, 1));
  drover::mover::round_trips(5000);
  for (const std::optional<std::size_t> way :
       {std::optional<std::size_t>{}, std::optional<std::size_t>{0}, std::optional<std::size_t>{1},
        std::optional<std::size_t>{2}})
    drover::mover::memory_throughput(std::min<std::uint64_t>(number(1, 2048), 1024), way);
}
