// SPDX-License-Identifier: Apache-2.0
// The probe: proves after a move that nothing of the guest was lost. It keeps numbered, checksummed
// records in memory and on a disk partition, changes them at a set rate, and knows of each which
// generation it must hold, so that a page or block that is damaged, missing, swapped or merely
// stale is found. It answers on TCP port 7777, one command a line.

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sealed.h"

namespace {

constexpr std::size_t record_size = 4096;
constexpr std::size_t mib = 1 << 20;
constexpr int port = 7777;

struct Record {
  char marker[32];  // readable, so that a capture of a network can be searched for it
  std::uint64_t index, generation, seed, boot, checksum, reserved;
  std::array<std::uint64_t, 502> payload;
};
static_assert(sizeof(Record) == record_size);

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

std::uint64_t checksum(const Record& record) {
  std::array<std::uint64_t, record_size / 8> words;
  std::memcpy(words.data(), &record, record_size);
  words[offsetof(Record, checksum) / 8] = 0;
  std::uint64_t sum = 0x9e3779b97f4a7c15U;
  for (std::uint64_t word : words) sum = ((sum ^ word) * 0x9fb21c651e98df25U) ^ (sum >> 29);
  return mix(sum);
}

struct Identity {
  std::uint64_t seed = 0, boot = 0;
  unsigned compressible = 0;  // percent of the records that compress well
};

void fill(Record& record, const char* marker, const Identity& identity, std::uint64_t index,
          std::uint64_t generation) {
  std::memset(record.marker, 0, sizeof record.marker);
  std::strncpy(record.marker, marker, sizeof record.marker - 1);
  record.index = index;
  record.generation = generation;
  record.seed = identity.seed;
  record.boot = identity.boot;
  record.reserved = 0;
  std::uint64_t state =
      mix(identity.seed ^ mix(index) ^ (generation << 40) ^ static_cast<std::uint64_t>(marker[18]));
  if (mix(index) % 100 < identity.compressible) {
    char line[64];
    std::memset(line, ' ', sizeof line);
    std::snprintf(line, sizeof line, "record %llu of generation %llu says hello\n",
                  static_cast<unsigned long long>(index),
                  static_cast<unsigned long long>(generation));
    auto* text = reinterpret_cast<char*>(record.payload.data());
    for (std::size_t at = 0; at < sizeof record.payload; at += sizeof line)
      std::memcpy(text + at, line, std::min(sizeof line, sizeof record.payload - at));
  } else {
    for (auto& word : record.payload) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      word = state;
    }
  }
  record.checksum = checksum(record);
}

// What is wrong with a record, "" if nothing is.
std::string fault(const Record& record, const char* marker, const Identity& identity,
                  std::uint64_t index, std::uint64_t generation) {
  const auto say = [&](const std::string& what) {
    return "record " + std::to_string(index) + " " + what;
  };
  if (std::strncmp(record.marker, marker, sizeof record.marker) != 0) return say("is not a record");
  if (record.index != index) return say("holds record " + std::to_string(record.index));
  if (record.seed != identity.seed) return say("belongs to another guest");
  if (record.checksum != checksum(record)) return say("has a wrong checksum");
  if (record.generation != generation)
    return say("is of generation " + std::to_string(record.generation) + ", not " +
               std::to_string(generation));
  return "";
}

struct Proof {
  std::uint64_t records = 0, bad = 0;
  std::string first;
  void add(const std::string& found) {
    ++records;
    if (found.empty()) return;
    if (bad++ == 0) first = found;
  }
};

std::string json(const Proof& proof) {
  return "{\"records\":" + std::to_string(proof.records) + ",\"bad\":" + std::to_string(proof.bad) +
         ",\"first\":\"" + proof.first + "\"}";
}

// A record that a test has damaged is not written any more, for that would heal it.
class Untouched {
 public:
  void set(std::uint64_t index) { index_ = static_cast<std::int64_t>(index); }
  bool is(std::uint64_t index) const { return index_ == static_cast<std::int64_t>(index); }

 private:
  std::int64_t index_ = -1;
};

class Memory {
 public:
  static constexpr const char* marker = "DROVER-LAB-MARKER-MEMORY";

  Memory(const Identity& identity, std::size_t bytes)
      : identity_(identity), generations_(bytes / record_size, 1) {
    void* area = mmap(nullptr, size() * record_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) std::perror("probe: mmap"), std::exit(1);
    records_ = static_cast<Record*>(area);
    for (std::size_t index = 0; index < size(); ++index)
      fill(records_[index], marker, identity_, index, 1);
  }
  std::size_t size() const { return generations_.size(); }
  std::uint64_t writes() const { return writes_; }

  void renew(std::uint64_t index) {
    const std::scoped_lock lock(mutex_);
    if (untouched_.is(index)) return;
    fill(records_[index], marker, identity_, index, ++generations_[index]);
    ++writes_;
  }
  Proof prove() {
    Proof proof;
    for (std::size_t index = 0; index < size(); ++index) {
      const std::scoped_lock lock(mutex_);
      proof.add(fault(records_[index], marker, identity_, index, generations_[index]));
    }
    return proof;
  }
  void corrupt() {
    const std::scoped_lock lock(mutex_);
    untouched_.set(size() / 2);
    records_[size() / 2].payload[100] ^= 1;
  }

 private:
  Identity identity_;
  std::vector<std::uint32_t> generations_;
  Record* records_ = nullptr;
  Untouched untouched_;
  std::atomic<std::uint64_t> writes_{0};
  std::mutex mutex_;
};

class Disk {
 public:
  static constexpr const char* marker = "DROVER-LAB-MARKER-DISK";

  // Records that an earlier boot left are adopted with their generations, and each must be whole;
  // else the area is filled.
  Disk(Identity identity, const std::string& path, std::size_t bytes) : identity_(identity) {
    descriptor_ = open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    std::uint64_t there = 0;
    if (descriptor_ < 0 || ioctl(descriptor_, BLKGETSIZE64, &there) != 0)
      std::perror("probe: disk"), std::exit(1);
    generations_.assign(std::min<std::uint64_t>(there, bytes) / record_size, 1);
    buffer_ = static_cast<Record*>(std::aligned_alloc(record_size, mib));
    transfer(0, 1, false);
    if (std::strcmp(buffer_->marker, marker) == 0 && buffer_->seed == identity_.seed)
      adopt();
    else
      fill_all();
  }
  std::size_t size() const { return generations_.size(); }
  std::uint64_t writes() const { return writes_; }
  const Proof& adopted() const { return adopted_; }

  void renew(std::uint64_t index) {
    const std::scoped_lock lock(mutex_);
    if (untouched_.is(index)) return;
    fill(*buffer_, marker, identity_, index, generations_[index] + 1);
    if (transfer(index, 1, true)) ++generations_[index], ++writes_;
  }
  void flush() {
    if (fdatasync(descriptor_) != 0) ++errors_;
  }
  Proof prove() {
    Proof proof;
    each_chunk([&](std::size_t first, std::size_t count) {
      const std::scoped_lock lock(mutex_);
      const bool read = transfer(first, count, false);
      for (std::size_t at = 0; at < count; ++at) {
        const auto index = first + at;
        proof.add(read ? fault(buffer_[at], marker, identity_, index, generations_[index])
                       : "record " + std::to_string(index) + " cannot be read");
      }
    });
    if (errors_ != 0) proof.add(std::to_string(errors_) + " transfers failed");
    return proof;
  }
  void corrupt() {
    const std::scoped_lock lock(mutex_);
    untouched_.set(size() / 2);
    transfer(size() / 2, 1, false);
    buffer_->payload[100] ^= 1;
    transfer(size() / 2, 1, true);
    flush();
  }

 private:
  void each_chunk(const std::function<void(std::size_t, std::size_t)>& action) const {
    constexpr auto chunk = mib / record_size;
    for (std::size_t first = 0; first < size(); first += chunk)
      action(first, std::min(chunk, size() - first));
  }
  bool transfer(std::size_t first, std::size_t count, bool write) {
    const auto bytes = count * record_size;
    const auto at = static_cast<off_t>(first * record_size);
    const auto done =
        write ? pwrite(descriptor_, buffer_, bytes, at) : pread(descriptor_, buffer_, bytes, at);
    if (done == static_cast<ssize_t>(bytes)) return true;
    ++errors_;
    return false;
  }
  void fill_all() {
    each_chunk([&](std::size_t first, std::size_t count) {
      for (std::size_t at = 0; at < count; ++at)
        fill(buffer_[at], marker, identity_, first + at, 1);
      transfer(first, count, true);
    });
    flush();
  }
  void adopt() {
    each_chunk([&](std::size_t first, std::size_t count) {
      transfer(first, count, false);
      for (std::size_t at = 0; at < count; ++at) {
        generations_[first + at] = static_cast<std::uint32_t>(buffer_[at].generation);
        adopted_.add(fault(buffer_[at], marker, identity_, first + at, buffer_[at].generation));
      }
    });
  }

  Identity identity_;
  int descriptor_ = -1;
  std::vector<std::uint32_t> generations_;
  Record* buffer_ = nullptr;
  Untouched untouched_;
  Proof adopted_;
  std::atomic<std::uint64_t> writes_{0}, errors_{0};
  std::mutex mutex_;
};

// Calls `change` for random records so that `rate` bytes a second change; what a standstill left
// undone is not caught up.
template <typename Area>
void change_at_rate(Area& area, double rate, const std::function<void()>& every_second) {
  using clock = std::chrono::steady_clock;
  std::uint64_t state = 0x853c49e6748fea9bU;
  auto last = clock::now();
  auto second = last;
  double debt = 0;
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto now = clock::now();
    debt += rate * std::min(std::chrono::duration<double>(now - last).count(), 0.5);
    last = now;
    for (; debt >= record_size; debt -= record_size) area.renew(mix(++state) % area.size());
    if (now - second >= std::chrono::seconds(1)) {
      second = now;
      every_second();
    }
  }
}

class Service {
 public:
  Service(Memory& memory, Disk& disk, std::string boot)
      : memory_(memory), disk_(disk), boot_(std::move(boot)) {}

  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string command, argument;
    words >> command >> argument;
    if (command == "ping") return "pong " + argument + " " + boot_;
    if (command == "verify") return verify();
    if (command == "stats") return stats();
    if (command == "seal") return seal(argument);
    if (command == "unseal") return unseal();
    if (command == "corrupt-page") return memory_.corrupt(), "done";
    if (command == "corrupt-block") return disk_.corrupt(), "done";
    return "unknown command";
  }

  void serve(int connection) {
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::string pending;
    char bytes[512];
    for (ssize_t count; (count = read(connection, bytes, sizeof bytes)) > 0;) {
      pending.append(bytes, static_cast<std::size_t>(count));
      for (std::size_t end; (end = pending.find('\n')) != std::string::npos;
           pending.erase(0, end + 1)) {
        const auto reply = answer(pending.substr(0, end)) + "\n";
        if (write(connection, reply.data(), reply.size()) < 0) break;
      }
      if (pending.size() > 4096) break;
    }
    close(connection);
  }

 private:
  // One at a time: the TPM's device takes one command after the other.
  std::string seal(const std::string& secret) {
    const std::scoped_lock lock(sealing_);
    return drover_lab::seal(secret);
  }
  std::string unseal() {
    const std::scoped_lock lock(sealing_);
    return drover_lab::unseal();
  }
  std::string verify() {
    const auto memory = memory_.prove();
    const auto disk = disk_.prove();
    const bool ok = memory.bad == 0 && disk.bad == 0;
    return std::string("{\"ok\":") + (ok ? "true" : "false") + ",\"boot\":\"" + boot_ +
           "\",\"memory\":" + json(memory) + ",\"disk\":" + json(disk) +
           ",\"adopted\":" + json(disk_.adopted()) + "}";
  }
  std::string stats() const {
    return "{\"boot\":\"" + boot_ + "\",\"memory_records\":" + std::to_string(memory_.size()) +
           ",\"memory_writes\":" + std::to_string(memory_.writes()) +
           ",\"disk_records\":" + std::to_string(disk_.size()) +
           ",\"disk_writes\":" + std::to_string(disk_.writes()) + "}";
  }

  Memory& memory_;
  Disk& disk_;
  std::string boot_;
  std::mutex sealing_;
};

std::uint64_t total_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  file >> name >> kib;
  return kib * 1024;
}

std::map<std::string, std::string> settings(int count, char** words) {
  std::map<std::string, std::string> found;
  for (int at = 1; at < count; ++at) {
    const std::string word = words[at];
    const auto equals = word.find('=');
    if (equals != std::string::npos) found[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return found;
}

int listen_on_port() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 16) != 0)
    std::perror("probe: listen"), std::exit(1);
  return listener;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  auto given = settings(count, words);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;

  Identity identity;
  identity.seed = std::strtoull(given["seed"].c_str(), nullptr, 10);
  identity.boot = std::hash<std::string>{}(boot);
  identity.compressible =
      static_cast<unsigned>(std::strtoul(given["compressible"].c_str(), nullptr, 10));
  const double records = std::strtod(given["records"].c_str(), nullptr) * mib;
  Memory memory(identity, records > 0 ? static_cast<std::uint64_t>(records) : total_memory() / 2);
  Disk disk(identity, given["disk"],
            static_cast<std::size_t>(std::strtod(given["fill"].c_str(), nullptr) * mib));
  Service service(memory, disk, boot);

  std::thread([&] {
    change_at_rate(memory, std::strtod(given["dirty"].c_str(), nullptr) * mib, [] {});
  }).detach();
  std::thread([&] {
    change_at_rate(disk, std::strtod(given["disk-rate"].c_str(), nullptr) * mib,
                   [&] { disk.flush(); });
  }).detach();

  const int listener = listen_on_port();
  for (;;) {
    const int connection = accept(listener, nullptr, nullptr);
    if (connection >= 0)
      std::thread([&service, connection] { service.serve(connection); }).detach();
  }
}
