// SPDX-License-Identifier: Apache-2.0
#include "move/cold/cold_layers.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "hypervisor/program.h"
#include "hypervisor/qcow2_head.h"
#include "move/cold/cold_files.h"
#include "move/regular_file.h"
#include "preflight/codes.h"
#include "preflight/finding.h"
#include "preflight/layers.h"

namespace drover::move {
namespace {

constexpr auto kRenameLimit = std::chrono::seconds(30);
constexpr std::string_view kQcow2Magic = "QFI\xfb";

struct Link {
  std::string here, there;  // at the source, at the destination
  std::string format;
  bool sent = false;   // as it is
  bool image = false;  // the disk's own
  std::string item;    // as FilePlacement::item
};

// Of one item: what is nearer comes first. Of memory, or a disc, it is a list of one.
using Chain = std::vector<Link>;

std::vector<Chain> chains_of(const Plan& plan) {
  std::vector<Chain> chains;
  std::vector<std::string> items;
  for (const DiskPlacement& placement : plan.placements) {
    items.push_back(placement.target);
    chains.push_back(Chain{Link{placement.source_path, placement.destination_path, placement.format,
                                travels_as_image(plan, placement), true, placement.target}});
  }
  for (const FilePlacement& file : plan.files) {
    const auto at = static_cast<std::size_t>(std::ranges::find(items, file.item) - items.begin());
    if (at == items.size()) {
      items.push_back(file.item);
      chains.emplace_back();
    }
    chains[at].push_back({file.source_path, file.destination_path, file.format,
                          !file.shared && !file.present, false, file.item});
  }
  return chains;
}

// A relative name is meant from where the image lies that says it.
std::string whole(const std::string& name, const std::string& image) {
  const std::filesystem::path named(name);
  return (named.is_absolute() ? named : std::filesystem::path(image).parent_path() / named)
      .lexically_normal()
      .string();
}

enum class Fit { kAsItIs, kOnceRenamed, kNot };

Fit fit(const Qcow2Head& head, const Link& image, const Link* below) {
  if (head.has_data_file || !head.data_file.empty()) return Fit::kNot;
  if (below == nullptr) return head.backing.empty() ? Fit::kAsItIs : Fit::kNot;
  if (head.backing.empty() || head.backing_format != below->format) return Fit::kNot;
  if (whole(head.backing, image.there) == below->there) return Fit::kAsItIs;
  const bool meant = whole(head.backing, image.here) == below->here;
  return meant && image.image ? Fit::kOnceRenamed : Fit::kNot;
}

// What somebody opens as such might name any file.
bool looks_like_qcow2(int file) {
  std::array<char, kQcow2Magic.size()> begin{};
  return ::pread(file, begin.data(), begin.size(), 0) == static_cast<ssize_t>(begin.size()) &&
         std::string_view(begin.data(), begin.size()) == kQcow2Magic;
}

// Null: it is the last.
const Link* next_below(const Chain& chain, std::size_t at) {
  return at + 1 < chain.size() ? &chain[at + 1] : nullptr;
}

// The first that does not name what the plan has below it.
struct Misnamed {
  Link link;
  std::optional<Link> below;  // in the plan
  std::string path;           // where it was read
  Result<Qcow2Head> head;
};

Result<std::optional<Misnamed>> first_misnamed(const Plan& plan, AtSide side) {
  for (const Chain& chain : chains_of(plan)) {
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const Link& link = chain[i];
      const bool here = side == AtSide::kSource;
      if (!link.sent || (here && link.format != "qcow2")) continue;
      // At the source an administrator may have put a link to an image.
      const std::string& path = here ? link.here : link.there;
      ASSIGN_OR_RETURN(const UniqueFd file,
                       open_regular(path, here ? O_RDONLY : O_RDONLY | O_NOFOLLOW));
      const Link* const next = next_below(chain, i);
      if (link.format != "qcow2") {
        if (!looks_like_qcow2(file.get())) continue;
        return Misnamed{link, std::nullopt, path,
                        fail(ErrorCode::kPolicy, "It is said to be raw, and begins as a qcow2.")};
      }
      auto head = read_qcow2_head(file.get());
      if (head && fit(*head, link, next) != Fit::kNot) continue;
      return Misnamed{link, next != nullptr ? std::optional(*next) : std::nullopt, path,
                      std::move(head)};
    }
  }
  return std::optional<Misnamed>();
}

std::vector<std::string> fixes_for(const Misnamed& found, const Plan& plan) {
  using preflight::word;
  std::vector<std::string> fixes;
  const bool stands_on_one = found.head && !found.head->backing.empty() &&
                             !found.head->has_data_file && found.head->data_file.empty();
  if (stands_on_one && found.below) {
    fixes.push_back(fmt::format("While {} is off: qemu-img rebase -u -f qcow2 -F {} -b {} {}",
                                plan.vm.name, found.below->format, word(found.below->here),
                                word(found.path)));
  }
  if (found.below && !plan.request.flatten)
    fixes.emplace_back("--flatten makes one image of the chain");
  if (stands_on_one && !found.below && plan.request.flatten)
    fixes.emplace_back("Leave --flatten out: the image holds a checkpoint, and travels as it is.");
  if (fixes.empty()) fixes.push_back("See what it needs: qemu-img info -U " + word(found.path));
  return fixes;
}

}  // namespace

Status check_layer_names(const Plan& plan, AtSide side) {
  ASSIGN_OR_RETURN(const auto found, first_misnamed(plan, side));
  if (!found) return {};
  return fail(ErrorCode::kPolicy,
              "{} does not name what the plan has below it ({}){}. Fix: qemu-img info {}; "
              "qemu-img rebase -u gives it a whole path and a format.",
              found->path, found->below ? found->below->here : "nothing",
              found->head ? "" : ": " + found->head.error().message, found->path);
}

std::optional<Finding> misnamed_layer(const Plan& plan) {
  const auto found = first_misnamed(plan, AtSide::kSource);
  if (!found || !*found) return {};
  const Misnamed& image = **found;
  const std::string below =
      image.below ? fmt::format("{} ({})", image.below->here, image.below->format) : "nothing";
  return Finding{
      std::string(preflight::code_name(preflight::Code::kDiskBackingChain)),
      FindingLevel::kBlocker,
      image.link.item,
      fmt::format("{} does not say, by path and format, that it is built on {}.", image.path,
                  below),
      "It travels as it is, and the destination takes no image that could name another file.",
      fixes_for(image, plan)};
}

Status name_layers_here(const Plan& plan) {
  for (const Chain& chain : chains_of(plan)) {
    if (chain.size() < 2 || !chain[0].sent || !chain[0].image) continue;
    const Link& link = chain[0];
    ASSIGN_OR_RETURN(const UniqueFd file, open_regular(link.there, O_RDWR | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const Qcow2Head head, read_qcow2_head(file.get()));
    if (fit(head, link, &chain[1]) != Fit::kOnceRenamed) continue;
    const auto renamed =
        run_program({.arguments = {"qemu-img", "rebase", "-u", "-f", "qcow2", "-F", chain[1].format,
                                   "-b", chain[1].there, "/proc/self/fd/3"},
                     .descriptor = file.get(),
                     .limit = kRenameLimit});
    if (!renamed) {
      return std::unexpected(wrap(
          renamed.error(), fmt::format("{} cannot be built on {}.", link.there, chain[1].there)));
    }
  }
  return {};
}

}  // namespace drover::move
