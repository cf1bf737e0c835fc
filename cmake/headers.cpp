// SPDX-License-Identifier: Apache-2.0
// Nothing: a target that precompiles headers needs a source (cmake/Drover.cmake).
