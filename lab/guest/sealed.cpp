// SPDX-License-Identifier: Apache-2.0
#include "sealed.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover_lab {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr const char* kTpm = "/dev/tpmrm0";  // the kernel forgets what a session left in the TPM
constexpr const char* kFirmware = "/sys/firmware/efi/efivars";
constexpr const char* kVariable =
    "/sys/firmware/efi/efivars/DroverSealed-6f1d2c54-8a53-4a8e-9f0b-5d1f0a7c3e21";
constexpr std::uint32_t kVariableKept = 7;  // non-volatile, for boot and running system
constexpr std::size_t kSecretMax = 128;     // the TPM's own limit

// TPM 2.0 library, part 2 (constants) and part 3 (commands).
constexpr std::uint16_t kWithSession = 0x8002;
constexpr std::uint32_t kCreatePrimary = 0x131, kCreate = 0x153, kLoad = 0x157, kUnseal = 0x15e;
constexpr std::uint32_t kOwner = 0x40000001, kPassword = 0x40000009;
constexpr std::uint16_t kNothing = 0x10, kSha256 = 0x0b, kEcc = 0x23, kKeyedHash = 0x08;
constexpr std::uint16_t kAes = 0x06, kCfb = 0x43, kP256 = 0x03;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

class Writer {
 public:
  Writer& u8(unsigned value) { return bytes_.push_back(static_cast<std::uint8_t>(value)), *this; }
  Writer& u16(unsigned value) { return u8(value >> 8 & 0xff).u8(value & 0xff); }
  Writer& u32(std::uint32_t value) { return u16(value >> 16).u16(value & 0xffff); }
  Writer& raw(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  Writer& sized(const Bytes& more) { return u16(static_cast<unsigned>(more.size())).raw(more); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(std::move(bytes)) {}
  unsigned u16() {
    const unsigned high = next();
    return high << 8 | next();
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  Bytes sized() {
    Bytes part(u16());
    for (auto& byte : part) byte = next();
    return part;
  }

 private:
  std::uint8_t next() {
    if (at_ == bytes_.size()) fail("the answer is too short");
    return bytes_[at_++];
  }
  Bytes bytes_;
  std::size_t at_ = 0;
};

class Tpm {
 public:
  Tpm() : device_(open(kTpm, O_RDWR | O_CLOEXEC)) {
    if (device_ < 0) fail(std::string("no TPM: ") + std::strerror(errno));
  }
  ~Tpm() { close(device_); }
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;

  // What follows the header of the answer. One session, the empty password.
  Reader ask(std::uint32_t command, std::uint32_t handle, const Bytes& parameters) const {
    const Bytes session = Writer().u32(kPassword).u16(0).u8(0).u16(0).bytes();
    Writer body;
    body.u32(handle).u32(static_cast<std::uint32_t>(session.size())).raw(session).raw(parameters);
    const auto size = static_cast<std::uint32_t>(10 + body.bytes().size());
    const Bytes request =
        Writer().u16(kWithSession).u32(size).u32(command).raw(body.bytes()).bytes();
    if (write(device_, request.data(), request.size()) != static_cast<ssize_t>(request.size()))
      fail(std::string("the TPM takes no command: ") + std::strerror(errno));
    Bytes answer(4096);
    const ssize_t got = read(device_, answer.data(), answer.size());
    if (got < 10) fail("the TPM does not answer");
    answer.resize(static_cast<std::size_t>(got));
    Reader reader(std::move(answer));
    reader.u16();
    reader.u32();
    if (const std::uint32_t code = reader.u32(); code != 0)
      fail("the TPM refuses command " + std::to_string(command) + " with " + std::to_string(code));
    return reader;
  }

  // A key below the owner's seed: the same one each time, as long as the TPM's state is the same.
  std::uint32_t root_key() const {
    const Bytes area = Writer()
                           .u16(kEcc)
                           .u16(kSha256)
                           .u32(0x30072)
                           .u16(0)
                           .u16(kAes)
                           .u16(128)
                           .u16(kCfb)
                           .u16(kNothing)
                           .u16(kP256)
                           .u16(kNothing)
                           .u16(0)
                           .u16(0)
                           .bytes();
    const Bytes nobody = Writer().u16(0).u16(0).bytes();
    return ask(kCreatePrimary, kOwner, Writer().sized(nobody).sized(area).u16(0).u32(0).bytes())
        .u32();
  }

 private:
  int device_;
};

Bytes seal_bytes(const std::string& secret) {
  const Tpm tpm;
  const std::uint32_t root = tpm.root_key();
  const Bytes sensitive = Writer().u16(0).sized({secret.begin(), secret.end()}).bytes();
  const Bytes area =
      Writer().u16(kKeyedHash).u16(kSha256).u32(0x52).u16(0).u16(kNothing).u16(0).bytes();
  Reader made = tpm.ask(kCreate, root, Writer().sized(sensitive).sized(area).u16(0).u32(0).bytes());
  made.u32();
  const Bytes secret_part = made.sized();
  return Writer().sized(secret_part).sized(made.sized()).bytes();
}

std::string unseal_bytes(const Bytes& sealed) {
  const Tpm tpm;
  const std::uint32_t item = tpm.ask(kLoad, tpm.root_key(), sealed).u32();
  Reader opened = tpm.ask(kUnseal, item, {});
  opened.u32();
  const Bytes secret = opened.sized();
  return {secret.begin(), secret.end()};
}

bool has_firmware() { return access(kFirmware, F_OK) == 0; }

// Of an efivarfs that is mounted: the kernel marks variables that it does not know as immutable.
void keep(const Bytes& sealed) {
  if (const int former = open(kVariable, O_RDONLY | O_CLOEXEC); former >= 0) {
    int flags = 0;
    if (ioctl(former, FS_IOC_GETFLAGS, &flags) == 0) {
      flags &= ~FS_IMMUTABLE_FL;
      (void)ioctl(former, FS_IOC_SETFLAGS, &flags);
    }
    close(former);
  }
  const int file = open(kVariable, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) fail(std::string("no variable: ") + std::strerror(errno));
  Bytes content(4);
  std::memcpy(content.data(), &kVariableKept, 4);
  content.insert(content.end(), sealed.begin(), sealed.end());
  const ssize_t written = write(file, content.data(), content.size());
  const int error = errno;
  close(file);
  if (written != static_cast<ssize_t>(content.size()))
    fail(std::string("the variable is not written: ") + std::strerror(error));
}

Bytes kept() {
  const int file = open(kVariable, O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(std::string("no variable: ") + std::strerror(errno));
  Bytes content(4096);
  const ssize_t got = read(file, content.data(), content.size());
  close(file);
  if (got < 4) fail("the variable is empty");
  return {content.begin() + 4, content.begin() + got};
}

Bytes in_memory;

}  // namespace

std::string seal(const std::string& secret) {
  if (secret.empty() || secret.size() > kSecretMax) return "error: 1 to 128 characters";
  try {
    const Bytes sealed = seal_bytes(secret);
    if (has_firmware())
      keep(sealed);
    else
      in_memory = sealed;
    return "sealed";
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what();
  }
}

std::string unseal() {
  try {
    return unseal_bytes(has_firmware() ? kept() : in_memory);
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what();
  }
}

}  // namespace drover_lab
