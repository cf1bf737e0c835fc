// SPDX-License-Identifier: Apache-2.0
#include "net/host_identity.h"

#include <array>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/random.h"

namespace drover::net {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSignatureBytes = 64;
// The number of hex digits of a key.
constexpr std::size_t kKeyHex = 2 * kKeyBytes;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

std::string hex_of(const EVP_PKEY* key) {
  std::array<std::uint8_t, kKeyBytes> raw;
  std::size_t size = raw.size();
  if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) return {};
  if (EVP_PKEY_get_raw_public_key(key, raw.data(), &size) != 1 || size != raw.size()) return {};
  return to_hex(raw);
}

// Valid from 2000 to 9999: a host whose clock starts in 1970 or 2038 is as good as any.
std::shared_ptr<X509> make_certificate(EVP_PKEY* key) {
  std::shared_ptr<X509> certificate(X509_new(), X509_free);
  DROVER_CHECK(certificate != nullptr);
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), "20000101000000Z");
  ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), "99991231235959Z");
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  const auto* text = reinterpret_cast<const unsigned char*>("drover");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key);
  DROVER_CHECK(X509_sign(certificate.get(), key, nullptr) > 0);
  return certificate;
}

Status write_key(const std::filesystem::path& path, EVP_PKEY* key) {
  const Bio memory(BIO_new(BIO_s_mem()), BIO_free);
  DROVER_CHECK(PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
               1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &bytes);
  const Status status =
      write_file_durably(path, std::string_view(bytes, static_cast<std::size_t>(size)), 0600);
  OPENSSL_cleanse(bytes, static_cast<std::size_t>(size));
  return status;
}

}  // namespace

HostIdentity::HostIdentity(Key key)
    : key_(std::move(key)),
      certificate_(make_certificate(key_.get())),
      public_key_(hex_of(key_.get())) {}

Result<HostIdentity> HostIdentity::make() {
  Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  if (key == nullptr) return fail(ErrorCode::kInternal, "OpenSSL cannot make an Ed25519 key.");
  return HostIdentity(std::move(key));
}

Result<HostIdentity> HostIdentity::load_or_make(const std::filesystem::path& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) return fail_errno(fmt::format("Cannot look at {}", path.string()));
    ASSIGN_OR_RETURN(HostIdentity made, make());
    RETURN_IF_ERROR(write_key(path, made.key()));
    return made;
  }
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0) {
    return fail(ErrorCode::kPermission,
                "The host's key {} must be a file that only its owner can read: `chmod 600 {}`. If "
                "others could read "
                "it, delete it and pair this host anew.",
                path.string(), path.string());
  }
  ASSIGN_OR_RETURN(std::string pem, read_file(path, 16384));
  const Bio memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (hex_of(key.get()).empty()) {
    return fail(ErrorCode::kCorrupt,
                "{} does not hold an Ed25519 key. Restore it from a backup, or delete it and pair "
                "this host anew.",
                path.string());
  }
  return HostIdentity(std::move(key));
}

std::string HostIdentity::sign(std::string_view message) const {
  const DigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  DROVER_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  DROVER_CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                              &size, reinterpret_cast<const unsigned char*>(message.data()),
                              message.size()) == 1);
  return signature;
}

bool verify_signature(std::string_view public_key_hex, std::string_view message,
                      std::string_view signature) {
  if (!is_public_key(public_key_hex) || signature.size() != kSignatureBytes) return false;
  const auto raw = from_hex(public_key_hex);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw->data(), raw->size()),
      EVP_PKEY_free);
  const DigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (key == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1)
    return false;
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

bool is_public_key(std::string_view hex) {
  return hex.size() == kKeyHex &&
         hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string public_key_of(const x509_st* certificate) {
  return certificate == nullptr ? std::string() : hex_of(X509_get0_pubkey(certificate));
}

}  // namespace drover::net
