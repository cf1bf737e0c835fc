// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/tpm_state.h"

#include <array>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

struct Kind {
  const char *folder, *file;
};
constexpr std::array kKinds{Kind{"tpm2", "tpm2-00.permall"}, Kind{"tpm1.2", "tpm-00.permall"}};

// As libvirt makes them: swtpm passes through the first two and owns the last.
constexpr mode_t kPassed = 0711, kOwned = 0700;

pugi::xml_node backend_in(const pugi::xml_document& domain) {
  return domain.document_element().child("devices").child("tpm").child("backend");
}

std::string place(const std::string& folder, std::string_view uuid, const Kind& kind) {
  return fmt::format("{}/{}/{}/{}", folder, uuid, kind.folder, kind.file);
}

}  // namespace

std::string tpm_state_of(const std::string& folder, std::string_view uuid) {
  for (const Kind& kind : kKinds) {
    std::string path = place(folder, uuid, kind);
    struct stat found{};
    if (::lstat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode)) return path;
  }
  return {};
}

std::string tpm_state_place(const std::string& folder, std::string_view uuid,
                            std::string_view file_name) {
  for (const Kind& kind : kKinds) {
    if (file_name == kind.file) return place(folder, uuid, kind);
  }
  return {};
}

Status make_tpm_folders(const std::string& place) {
  const auto owned = std::filesystem::path(place).parent_path();
  RETURN_IF_ERROR(make_folder(owned.parent_path().parent_path(), kPassed));
  RETURN_IF_ERROR(make_folder(owned.parent_path(), kPassed));
  return make_folder(owned, kOwned);
}

void remove_tpm_folders(const std::string& place) {
  const auto owned = std::filesystem::path(place).parent_path();
  for (const auto& folder : {owned, owned.parent_path()}) {
    if (::rmdir(folder.c_str()) != 0) return;
  }
}

bool keeps_tpm_state(std::string_view domain_xml) { return !tpm_state_name(domain_xml).empty(); }

// libvirt writes the version down; without one it is the newer.
std::string tpm_state_name(std::string_view domain_xml) {
  const auto document = xml::parse(domain_xml, "domain");
  if (!document) return {};
  const auto backend = backend_in(*document);
  const bool kept = std::string_view(backend.attribute("type").value()) == "emulator" &&
                    !backend.child("encryption") && !backend.child("source");
  if (!kept) return {};
  return kKinds[std::string_view(backend.attribute("version").value()) == "1.2" ? 1 : 0].file;
}

Status check_state_outlives(std::string_view domain_xml, const std::string& folder,
                            std::string_view uuid) {
  const std::string state = tpm_state_of(folder, uuid);
  if (state.empty()) return {};
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  if (std::string_view(backend_in(document).attribute("persistent_state").value()) == "yes")
    return {};
  return fail(ErrorCode::kConflict,
              "The VM {0} stays defined: libvirt here is older than 8.9, and would remove what its "
              "TPM holds, {1}, with the definition. Fix: update libvirt; or copy that file to "
              "another place, then virsh undefine --keep-nvram {0}.",
              uuid, state);
}

}  // namespace drover
