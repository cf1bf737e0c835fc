// SPDX-License-Identifier: Apache-2.0
// The small calls: find, define, undefine, start and stop.
#include "hypervisor/libvirt/libvirt.h"

#include <utility>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/tpm_state.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

// The definition, saying that what its emulated TPM holds outlives it.
Result<std::string> with_lasting_tpm_state(std::string_view domain_xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  const auto backend = document.document_element().child("devices").child("tpm").child("backend");
  if (std::string_view(backend.attribute("type").value()) != "emulator")
    return fail(ErrorCode::kInvalidArgument, "The definition has no emulated TPM.");
  xml::set_attribute(backend, "persistent_state", "yes");
  return xml::write(document.document_element());
}

Status define_in(virConnectPtr connection, const std::string& xml) {
  const DomainHandle defined(virDomainDefineXMLFlags(connection, xml.c_str(), 0));
  if (!defined) return fail_libvirt("Cannot define the VM");
  return {};
}

// It keeps the state of a definition that says so: one that does not is made to, right before. What
// is not forgotten after all has its definition as it was; after a kill in between it says that.
Status undefine_before_8_9(virDomainPtr domain, std::string_view uuid, unsigned flags,
                           const std::string& tpm_folder) {
  const auto text = domain_xml(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  if (!text && text.error().code == ErrorCode::kNotFound) return {};
  if (!text) return std::unexpected(text.error());
  const Status outlives = check_state_outlives(*text, tpm_folder, uuid);
  const virConnectPtr connection = virDomainGetConnect(domain);  // the domain's: not freed here
  if (!outlives) {
    // Of a VM that runs the running definition counts, which nobody can change.
    const auto lasting = with_lasting_tpm_state(*text);
    if (!lasting || virDomainIsActive(domain) != 0 || !define_in(connection, *lasting))
      return outlives;
  }
  if (virDomainUndefineFlags(domain, flags) == 0) return {};
  if (last_error_code() == VIR_ERR_NO_DOMAIN) return {};
  const Status refused = fail_libvirt(fmt::format("Cannot undefine the VM {}", uuid));
  if (!outlives) (void)define_in(connection, *text);
  return refused;
}

}  // namespace

std::unique_ptr<Hypervisor> make_libvirt(LibvirtOptions options) {
  return std::make_unique<Adapter>(std::move(options));
}

Adapter::Adapter(LibvirtOptions options)
    : tpm_folder_(std::move(options.tpm_folder)), connection_(std::move(options.uri)) {
  connection_.on_change([this](const std::string& uuid) { inventory_.forget(uuid); });
}

bool Adapter::connected() { return connection_.connected(); }

void Adapter::subscribe(std::function<void(const VmEvent&)> callback) {
  connection_.subscribe(std::move(callback));
}

Result<DomainHandle> look_up(virConnectPtr connection, std::string_view name_or_uuid) {
  const std::string wanted(name_or_uuid);
  constexpr std::size_t kUuidLength = 36;
  if (wanted.size() == kUuidLength) {
    DomainHandle by_uuid(virDomainLookupByUUIDString(connection, wanted.c_str()));
    if (by_uuid) return by_uuid;
    const int code = last_error_code();
    if (code != VIR_ERR_NO_DOMAIN && code != VIR_ERR_INVALID_ARG)
      return fail_libvirt("Cannot look for the VM " + wanted);
  }
  DomainHandle by_name(virDomainLookupByName(connection, wanted.c_str()));
  if (by_name) return by_name;
  if (last_error_code() == VIR_ERR_NO_DOMAIN)
    return fail(ErrorCode::kNotFound, "There is no VM {} here.", wanted);
  return fail_libvirt("Cannot look for the VM " + wanted);
}

Result<std::string> domain_xml(virDomainPtr domain, unsigned flags) {
  const Text text(virDomainGetXMLDesc(domain, flags));
  if (!text) return fail_libvirt("Cannot read the VM's definition");
  return std::string(text.get());
}

Result<Adapter::Found> Adapter::find(std::string_view name_or_uuid) {
  ASSIGN_OR_RETURN(auto connection, connection_.get());
  ASSIGN_OR_RETURN(auto domain, look_up(connection.get(), name_or_uuid));
  return Found{std::move(connection), std::move(domain)};
}

Result<std::string> Adapter::definition(std::string_view uuid, DefinitionKind kind) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  unsigned flags = VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE;
  if (kind == DefinitionKind::kPersistent) {
    // libvirt answers with the live definition where there is no persistent one.
    if (virDomainIsPersistent(found.get()) == 0) {
      return fail(ErrorCode::kNotFound, "The VM {} has no persistent definition.", uuid);
    }
    flags |= VIR_DOMAIN_XML_INACTIVE;
  }
  if (kind == DefinitionKind::kAsItRuns) flags = 0;
  return domain_xml(found.get(), flags);
}

Status Adapter::define(std::string_view xml) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  return define_in(connection.get(), std::string(xml));
}

Status Adapter::undefine(std::string_view uuid) {
  const auto found = find(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound) return {};
  if (!found) return std::unexpected(found.error());
  if (virDomainIsPersistent(found->get()) == 0) return {};
  // A managed save image is not named here: with one, the VM is not what was moved, and libvirt
  // refuses.
  const unsigned kept = VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
  if (virDomainUndefineFlags(found->get(), kept | VIR_DOMAIN_UNDEFINE_KEEP_TPM) == 0) return {};
  // libvirtd before 8.9 does not know KEEP_TPM.
  if (last_error_code() == VIR_ERR_INVALID_ARG)
    return undefine_before_8_9(found->get(), uuid, kept, tpm_folder_);
  if (last_error_code() == VIR_ERR_NO_DOMAIN) return {};
  return fail_libvirt(fmt::format("Cannot undefine the VM {}", uuid));
}

Status Adapter::set_autostart(std::string_view uuid, bool on) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainSetAutostart(found.get(), on ? 1 : 0) != 0) {
    return fail_libvirt(
        fmt::format("Cannot {} autostart of the VM {}", on ? "set" : "clear", uuid));
  }
  inventory_.forget(std::string(uuid));
  return {};
}

Status Adapter::destroy(std::string_view uuid) {
  const auto found = find(uuid);
  if (!found && found.error().code == ErrorCode::kNotFound) return {};
  if (!found) return std::unexpected(found.error());
  if (virDomainDestroyFlags(found->get(), VIR_DOMAIN_DESTROY_DEFAULT) == 0) return {};
  auto failed = fail_libvirt(fmt::format("Cannot stop the VM {}", uuid));
  // It ended on its own between the two calls.
  if (virDomainIsActive(found->get()) != 1 && failed.error().code != ErrorCode::kUnavailable)
    return {};
  return failed;
}

Status Adapter::resume(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainResume(found.get()) != 0)
    return fail_libvirt(fmt::format("Cannot resume the VM {}", uuid));
  return {};
}

}  // namespace drover::libvirt
