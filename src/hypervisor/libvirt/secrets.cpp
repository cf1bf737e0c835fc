// SPDX-License-Identifier: Apache-2.0
// The secrets that a host's libvirt keeps.
#include <cstdlib>
#include <cstring>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {

Result<std::vector<std::string>> Adapter::secrets() {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  virSecretPtr* list = nullptr;
  const int count = virConnectListAllSecrets(connection.get(), &list, 0);
  if (count < 0 && last_error_code() == VIR_ERR_NO_SUPPORT) return std::vector<std::string>{};
  if (count < 0) return fail_libvirt("Cannot list the secrets");
  std::vector<std::string> names;
  for (const auto& secret : take_list<Handle<virSecret, virSecretFree>>(list, count)) {
    char uuid[VIR_UUID_STRING_BUFLEN] = {};
    if (virSecretGetUUIDString(secret.get(), uuid) == 0) names.emplace_back(uuid);
    if (const char* usage = virSecretGetUsageID(secret.get()); usage != nullptr)
      names.emplace_back(usage);
  }
  return names;
}

Result<std::string> Adapter::secret_value(const SecretName& name) {
  using SecretHandle = Handle<virSecret, virSecretFree>;
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  const int usage = name.type == "iscsi" ? VIR_SECRET_USAGE_TYPE_ISCSI : VIR_SECRET_USAGE_TYPE_CEPH;
  const std::string& called = name.uuid.empty() ? name.usage : name.uuid;
  const SecretHandle secret(
      name.uuid.empty() ? virSecretLookupByUsage(connection.get(), usage, name.usage.c_str())
                        : virSecretLookupByUUIDString(connection.get(), name.uuid.c_str()));
  if (!secret) return fail_libvirt(fmt::format("There is no secret {}", called));
  // As libvirt itself has it: a disk's passphrase is nothing to show a server.
  if (virSecretGetUsageType(secret.get()) != usage) {
    return fail(
        ErrorCode::kPermission,
        "The secret {} is not of the type {}, which the disk asks for. Fix: define one that "
        "is.",
        called, name.type);
  }
  std::size_t bytes = 0;
  const Handle<unsigned char, std::free> value(virSecretGetValue(secret.get(), &bytes, 0));
  if (!value && last_error_code() == VIR_ERR_INVALID_SECRET) {
    return fail(ErrorCode::kPermission,
                "libvirt tells nobody the secret {}, for it is private. Fix: define it anew with "
                "private='no'.",
                called);
  }
  if (!value) return fail_libvirt(fmt::format("The secret {} has no value", called));
  std::string kept(reinterpret_cast<const char*>(value.get()), bytes);
  ::explicit_bzero(value.get(), bytes);
  return kept;
}

}  // namespace drover::libvirt
