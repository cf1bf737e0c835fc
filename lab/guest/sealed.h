// SPDX-License-Identifier: Apache-2.0
// What a guest keeps besides memory and disks: a secret that only its own TPM opens, sealed below a
// key that this TPM derives from its seed; the sealed bytes lie in a variable of its UEFI firmware,
// or, without UEFI, in the probe's memory. So who can unseal it has the state of both.
#pragma once

#include <string>

namespace drover_lab {

// "sealed", or "error: " and why.
std::string seal(const std::string& secret);
// The secret, or "error: " and why.
std::string unseal();

}  // namespace drover_lab
