// SPDX-License-Identifier: Apache-2.0
// Which VM a word of the command line means, among those of all paired hosts. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "model/access.h"
#include "model/vm.h"

namespace drover::cli {

// `word` is a name, a UUID, or HOST/NAME. kNotFound: no such VM, and which hosts were not asked.
// kInvalidArgument: several; the message lists what to say instead.
Result<Vm> choose_vm(const VmListing& listing, const std::string& word);

// "web*" and the like, for `drover move`: the names, as choose_vm() takes them back, of VMs that
// run and that the shell pattern fits. A word that is a VM's own name or has
// no pattern in it stands for itself. kNotFound: it fits none that runs.
Result<std::vector<std::string>> matching_names(const VmListing& listing, const std::string& word);

// For `drover move --label`: the names of VMs that run and have each of these labels. kNotFound:
// none does.
Result<std::vector<std::string>> labelled_names(const VmListing& listing,
                                                const std::vector<std::string>& labels);
bool has_labels(const Vm& vm, const std::vector<std::string>& labels);

// For `drover list --names`: what choose_vm() takes back, each once.
std::vector<std::string> unique_names(const VmListing& listing);

}  // namespace drover::cli
