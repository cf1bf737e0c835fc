// SPDX-License-Identifier: Apache-2.0
// What every Hypervisor must do, as tests: run on the fake with the unit tests, and on real libvirt
// in the lab. For tests only. A test program names its subjects with INSTANTIATE_TEST_SUITE_P(Name,
// HypervisorConformance, ...).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "hypervisor/hypervisor.h"

namespace drover {

// A hypervisor, and what the interface has no word for because Drover never does it.
class ConformanceSubject {
 public:
  virtual ~ConformanceSubject() = default;
  virtual Hypervisor& hypervisor() = 0;
  virtual void start(const std::string& uuid) = 0;
  virtual void suspend(const std::string& uuid) = 0;
};

struct ConformanceParameter {
  std::string name;
  // Nothing: skip, saying `missing`.
  std::function<std::unique_ptr<ConformanceSubject>()> make;
  std::string missing;
};

// Names of tests show the parameter's name alone, not its bytes.
inline void PrintTo(const ConformanceParameter& parameter, std::ostream* out) {
  *out << parameter.name;
}

class HypervisorConformance : public testing::TestWithParam<ConformanceParameter> {
 protected:
  void SetUp() override;
  void TearDown() override;
  Hypervisor& hypervisor() { return subject_->hypervisor(); }
  // A small VM without disks; a UUID of this test run's own.
  std::string define_vm(const std::string& name);
  VmState state_of(const std::string& uuid);

  std::unique_ptr<ConformanceSubject> subject_;
  std::vector<std::string> defined_;
};

}  // namespace drover
