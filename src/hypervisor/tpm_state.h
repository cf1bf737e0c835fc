// SPDX-License-Identifier: Apache-2.0
// Where libvirt's swtpm keeps the state of an emulated TPM: one file, FOLDER/UUID/tpm2/
// tpm2-00.permall, or tpm1.2/tpm-00.permall of an older kind. libvirt gives it to swtpm's user
// whenever it starts the VM. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace drover {

inline constexpr const char* kTpmFolder = "/var/lib/libvirt/swtpm";

// The state of this VM below `folder`; empty: it has none, as before its first start.
std::string tpm_state_of(const std::string& folder, std::string_view uuid);
// Where a state that was kept in a file of this name ("tpm2-00.permall") belongs; empty: states are
// not called so.
std::string tpm_state_place(const std::string& folder, std::string_view uuid,
                            std::string_view file_name);
// Makes the folders that such a place lies in, as libvirt does.
Status make_tpm_folders(const std::string& place);
// Removes them, as far as they are empty.
void remove_tpm_folders(const std::string& place);

// The definition has an emulated TPM whose state lies there and is not encrypted by libvirt.
bool keeps_tpm_state(std::string_view domain_xml);
// How the file of such a definition's TPM is called; empty: it keeps none there.
std::string tpm_state_name(std::string_view domain_xml);
// libvirt before 8.9 removes the state of this VM below `folder` when it forgets the VM, unless the
// definition says otherwise. kConflict: it would.
Status check_state_outlives(std::string_view domain_xml, const std::string& folder,
                            std::string_view uuid);

}  // namespace drover
