// SPDX-License-Identifier: Apache-2.0
// libvirt's snapshots, as what is said of them; what they hold lies in images and files.
#include <algorithm>

#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

// Each after the one it follows from.
Result<std::vector<SnapshotHandle>> list(virDomainPtr domain) {
  virDomainSnapshotPtr* found = nullptr;
  const int count = virDomainListAllSnapshots(domain, &found, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
  if (count < 0) return fail_libvirt("Cannot list the VM's snapshots");
  return take_list<SnapshotHandle>(found, count);
}

Status forget(virDomainSnapshotPtr snapshot) {
  if (virDomainSnapshotDelete(snapshot, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY) == 0) return {};
  if (last_error_code() == VIR_ERR_NO_DOMAIN_SNAPSHOT) return {};
  return fail_libvirt("Cannot take back what libvirt knows of a snapshot");
}

}  // namespace

Result<std::vector<CheckpointText>> read_checkpoints(virDomainPtr domain) {
  ASSIGN_OR_RETURN(const auto snapshots, list(domain));
  std::vector<CheckpointText> texts;
  for (const auto& snapshot : snapshots) {
    const Text xml(virDomainSnapshotGetXMLDesc(snapshot.get(), VIR_DOMAIN_SNAPSHOT_XML_SECURE));
    if (!xml) return fail_libvirt("Cannot read a snapshot");
    const char* name = virDomainSnapshotGetName(snapshot.get());
    texts.push_back({name == nullptr ? "" : name, xml.get(),
                     virDomainSnapshotIsCurrent(snapshot.get(), 0) == 1});
  }
  return texts;
}

Result<std::vector<CheckpointText>> Adapter::checkpoints(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  return read_checkpoints(found.get());
}

Status Adapter::forget_checkpoints(std::string_view uuid) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  ASSIGN_OR_RETURN(auto snapshots, list(found.get()));
  // The last ones first: libvirt would rewrite those that follow from one that goes.
  std::ranges::reverse(snapshots);
  for (const auto& snapshot : snapshots) RETURN_IF_ERROR(forget(snapshot.get()));
  inventory_.forget(std::string(uuid));
  return {};
}

Status Adapter::know_checkpoints(std::string_view uuid,
                                 std::span<const CheckpointText> checkpoints) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  for (const CheckpointText& checkpoint : checkpoints) {
    // libvirt lets only some of it be said anew.
    if (const SnapshotHandle known(
            virDomainSnapshotLookupByName(found.get(), checkpoint.name.c_str(), 0));
        known) {
      RETURN_IF_ERROR(forget(known.get()));
    }
    unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE;
    if (checkpoint.current) flags |= VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT;
    const SnapshotHandle made(
        virDomainSnapshotCreateXML(found.get(), checkpoint.xml.c_str(), flags));
    if (!made) return fail_libvirt(fmt::format("Cannot tell libvirt of {}", checkpoint.name));
  }
  inventory_.forget(std::string(uuid));
  return {};
}

}  // namespace drover::libvirt
