// SPDX-License-Identifier: Apache-2.0
// Owners of libvirt's objects. Move-only; a handle may be used from any thread, as libvirt allows.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

namespace drover::libvirt {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <typename T, auto Free>
using Handle = std::unique_ptr<T, Freed<Free>>;

using ConnectHandle = Handle<virConnect, virConnectClose>;
using DomainHandle = Handle<virDomain, virDomainFree>;
using SnapshotHandle = Handle<virDomainSnapshot, virDomainSnapshotFree>;
using NetworkHandle = Handle<virNetwork, virNetworkFree>;
using PoolHandle = Handle<virStoragePool, virStoragePoolFree>;
using VolumeHandle = Handle<virStorageVol, virStorageVolFree>;
using Text = Handle<char, std::free>;

// libvirt's lists: an array of `count` objects, each to be freed, and the array itself.
template <typename H, typename T>
std::vector<H> take_list(T** objects, int count) {
  std::vector<H> handles;
  for (int i = 0; i < count; ++i) handles.emplace_back(objects[i]);
  std::free(objects);
  return handles;
}

// Typed parameters as libvirt hands them out or takes them.
struct Parameters {
  virTypedParameterPtr list = nullptr;
  int count = 0;
  int room = 0;

  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;
  ~Parameters() { virTypedParamsFree(list, count); }

  unsigned long long number(const char* name) const {
    unsigned long long value = 0;
    (void)virTypedParamsGetULLong(list, count, name, &value);
    return value;
  }
  // -1: not there.
  int integer(const char* name) const {
    int value = -1;
    (void)virTypedParamsGetInt(list, count, name, &value);
    return value;
  }
};

// Statistics as libvirt hands them out.
struct Records {
  virDomainStatsRecordPtr* list = nullptr;
  int count = 0;
  Records() = default;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;
  ~Records() {
    if (list != nullptr) virDomainStatsRecordListFree(list);
  }
};

}  // namespace drover::libvirt
