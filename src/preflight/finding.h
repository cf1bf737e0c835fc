// SPDX-License-Identifier: Apache-2.0
// How checks say what they found. Private to src/preflight.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "model/plan.h"
#include "preflight/codes.h"

namespace drover::preflight {

// A name or path as a word of a shell command: quoted where it needs to be.
std::string word(const std::string& text);

class Findings {
 public:
  // `what`: one sentence, present tense. `why`: what would go wrong. `fixes`: in the order to try
  // them.
  void blocker(Code code, std::string object, std::string what, std::string why,
               std::vector<std::string> fixes) {
    add(FindingLevel::kBlocker, code, std::move(object), std::move(what), std::move(why),
        std::move(fixes));
  }
  void warning(Code code, std::string object, std::string what, std::string why,
               std::vector<std::string> fixes) {
    add(FindingLevel::kWarning, code, std::move(object), std::move(what), std::move(why),
        std::move(fixes));
  }
  void note(Code code, std::string object, std::string what, std::string why) {
    add(FindingLevel::kNote, code, std::move(object), std::move(what), std::move(why), {});
  }
  bool blocked() const {
    for (const auto& finding : list_) {
      if (finding.level == FindingLevel::kBlocker) return true;
    }
    return false;
  }
  // Blockers first, then warnings, then notes; within a level as they were found.
  std::vector<Finding> take();

 private:
  void add(FindingLevel level, Code code, std::string object, std::string what, std::string why,
           std::vector<std::string> fixes) {
    list_.push_back({std::string(code_name(code)), level, std::move(object), std::move(what),
                     std::move(why), std::move(fixes)});
  }
  std::vector<Finding> list_;
};

}  // namespace drover::preflight
