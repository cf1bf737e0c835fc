// SPDX-License-Identifier: Apache-2.0
// What a qcow2 image says in its header of the files that it needs beside itself, read without
// QEMU: of an image that came from another host before any program opens it. The bytes are trusted
// in nothing. Any thread.
#pragma once

#include <string>

#include "base/error.h"

namespace drover {

struct Qcow2Head {
  std::string backing;         // the name as it stands there; empty: the image stands for itself
  std::string backing_format;  // "raw", "qcow2"; empty: it does not say, and QEMU would guess
  bool has_data_file = false;  // its content lies in a second file
  std::string data_file;       // the name of that; may be empty all the same
};

// kInvalidArgument: no qcow2 image, or its header contradicts itself. kSystem: it cannot be read.
Result<Qcow2Head> read_qcow2_head(int file);

}  // namespace drover
