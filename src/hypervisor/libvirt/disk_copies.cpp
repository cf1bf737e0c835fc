// SPDX-License-Identifier: Apache-2.0
// Copies of a running VM's disks: libvirt's block copy into an image that is there already.
#include <algorithm>
#include <bit>
#include <sstream>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "base/log.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/libvirt/monitor.h"

namespace drover::libvirt {
namespace {

using Json = nlohmann::json;

// Until a copy that shall leave holes may do so (keep_holes) next to nothing may be copied.
enum class Pace { kCrawl, kWanted };
constexpr unsigned long long kCrawl = 1;  // bytes a second
// QEMU handles as much as this at a stretch, so as much may be without holes.
constexpr ByteCount kBufferLeast = mib(1), kBufferMost = mib(16);
constexpr std::uint64_t kBufferShare = 256;  // of the disk

std::string copy_xml(const DiskCopyCall& call) {
  pugi::xml_document document;
  auto disk = document.append_child("disk");
  disk.append_attribute("type") = call.to_device ? "block" : "file";
  auto driver = disk.append_child("driver");
  driver.append_attribute("name") = "qemu";
  driver.append_attribute("type") = call.format.c_str();
  auto source = disk.append_child("source");
  source.append_attribute(call.to_device ? "dev" : "file") = call.path.c_str();
  if (call.to_device) {
    // It may be larger than the disk.
    auto slice = source.append_child("slices").append_child("slice");
    slice.append_attribute("type") = "storage";
    slice.append_attribute("offset") = "0";
    slice.append_attribute("size") = std::to_string(call.size.bytes).c_str();
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return text.str();
}

Status add(Parameters& parameters, const char* name, unsigned long long value) {
  if (virTypedParamsAddULLong(&parameters.list, &parameters.count, &parameters.room, name, value) !=
      0) {
    return fail_libvirt("Cannot set up the copy");
  }
  return {};
}

Status begin_copy(virDomainPtr domain, const DiskCopyCall& call, Pace pace) {
  Parameters parameters;
  if (pace == Pace::kCrawl) {
    RETURN_IF_ERROR(add(parameters, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, kCrawl));
    const std::uint64_t buffer =
        std::clamp(call.size.bytes / kBufferShare, kBufferLeast.bytes, kBufferMost.bytes);
    // A power of two, as its granularity is.
    RETURN_IF_ERROR(add(parameters, VIR_DOMAIN_BLOCK_COPY_BUF_SIZE, std::bit_floor(buffer)));
  } else if (call.bandwidth.value != 0) {
    RETURN_IF_ERROR(add(parameters, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, call.bandwidth.value));
  }
  unsigned flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
  // Made for it on what the disk is built on: that is not copied into it.
  if (!call.to_device && backing_name_of(call.path)) flags |= VIR_DOMAIN_BLOCK_COPY_SHALLOW;
  if (virDomainBlockCopy(domain, call.target.c_str(), copy_xml(call).c_str(), parameters.list,
                         parameters.count, flags) != 0) {
    return fail_libvirt(fmt::format("Cannot copy {} to {}", call.target, call.path));
  }
  return {};
}

Json without_exceptions(const std::string& text) { return Json::parse(text, nullptr, false); }

// QEMU's answers are not trusted to have any shape.
bool flag_of(const Json& node, const char* member) {
  const auto found = node.find(member);
  return found != node.end() && found->is_boolean() && found->get<bool>();
}

// The command that lets the node of a copy's format pass on "this is zero" as a hole: libvirt gives
// it the disk's own setting for discard, and without that QEMU writes zeroes of a raw image by
// allocating them. Of a thin copy also what is written as zeroes becomes one. Null: there is no
// such node (newer libvirt leaves a raw one out).
Json reopen_command(const Json& nodes, const DiskCopyCall& call) {
  if (!nodes.is_array()) return {};
  const std::string& path = call.path;
  constexpr std::string_view kFormat = "-format", kStorage = "-storage";
  for (const Json& node : nodes) {
    const std::string name = text_of(node, "node-name");
    if (text_of(node, "drv") != call.format || text_of(node, "file") != path) continue;
    if (!name.ends_with(kFormat)) continue;
    const std::string file = name.substr(0, name.size() - kFormat.size()).append(kStorage);
    if (std::ranges::none_of(nodes, [&](const Json& other) {
          return text_of(other, "node-name") == file && text_of(other, "file") == path;
        })) {
      continue;
    }
    Json options{{"driver", call.format},
                 {"node-name", name},
                 {"file", file},
                 {"discard", "unmap"},
                 {"read-only", false}};
    if (call.format == "qcow2") options["backing"] = nullptr;
    if (call.allocation == Allocation::kThin)
      options["detect-zeroes"] = "unmap";
    else if (const std::string zeroes = text_of(node, "detect_zeroes"); !zeroes.empty())
      options["detect-zeroes"] = zeroes;
    if (const auto cache = node.find("cache"); cache != node.end() && cache->is_object()) {
      options["cache"] = {{"direct", flag_of(*cache, "direct")},
                          {"no-flush", flag_of(*cache, "no-flush")}};
    }
    return {{"execute", "blockdev-reopen"}, {"arguments", {{"options", Json::array({options})}}}};
  }
  return {};
}

}  // namespace

// An error only means that the copy may take more room than the disk does.
Status Adapter::keep_holes(const DiskCopyCall& call) {
  ASSIGN_OR_RETURN(
      const std::string said,
      ask_qemu(call.uuid, R"({"execute":"query-named-block-nodes","arguments":{"flat":true}})"));
  const Json answer = without_exceptions(said);
  if (!answer.is_object() || !answer.contains("return"))
    return fail(ErrorCode::kHypervisor, "QEMU does not list its images: {}", said);
  const Json command = reopen_command(answer["return"], call);
  if (command.is_null() && call.allocation == Allocation::kThin)
    return fail(ErrorCode::kHypervisor, "QEMU has no node of its own for the format of {}.",
                call.path);
  if (command.is_null()) return {};
  ASSIGN_OR_RETURN(const std::string done, ask_qemu(call.uuid, command.dump()));
  const Json outcome = without_exceptions(done);
  if (!outcome.is_object() || !outcome.contains("return"))
    return fail(ErrorCode::kHypervisor, "QEMU does not take holes for {}: {}", call.path, done);
  return {};
}

Status Adapter::copy_disk(const DiskCopyCall& call) {
  ASSIGN_OR_RETURN(const DiskCopy now, disk_copy(call.uuid, call.target));
  if (now.state != DiskCopy::State::kNone && now.copy_path != call.path) {
    return fail(ErrorCode::kConflict, "{} is being copied to {} already.", call.target,
                now.copy_path);
  }
  ASSIGN_OR_RETURN(const auto found, find(call.uuid));
  const bool thin = call.allocation == Allocation::kThin;
  const bool leaves_holes = thin || (call.format == "raw" && call.allocation != Allocation::kFull);
  const bool reopens = leaves_holes && !call.to_device;
  if (now.state == DiskCopy::State::kNone) {
    RETURN_IF_ERROR(begin_copy(found.get(), call, reopens ? Pace::kCrawl : Pace::kWanted));
    if (!reopens) return {};
  }
  if (reopens) {
    if (auto kept = keep_holes(call); !kept) log::warning("{}", kept.error().text());
  }
  if (virDomainBlockJobSetSpeed(found.get(), call.target.c_str(), call.bandwidth.value,
                                VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES) != 0) {
    // A small disk may be done already.
    const auto after = disk_copy(call.uuid, call.target);
    if (after && after->state == DiskCopy::State::kReady) return {};
    return fail_libvirt(fmt::format("Cannot let the copy of {} run", call.target));
  }
  return {};
}

Result<DiskCopy> Adapter::disk_copy(std::string_view uuid, std::string_view target) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  if (virDomainIsActive(found.get()) != 1)
    return fail(ErrorCode::kConflict, "The VM {} does not run.", uuid);
  ASSIGN_OR_RETURN(const std::string xml, domain_xml(found.get(), 0));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(xml));
  const auto disk = std::ranges::find_if(
      facts.disks, [&](const DiskFacts& other) { return other.disk.target == target; });
  if (disk == facts.disks.end())
    return fail(ErrorCode::kNotFound, "The VM {} has no disk {}.", uuid, target);
  DiskCopy copy;
  copy.disk_path = disk->disk.path;
  if (disk->job.empty()) {
    inventory_.forget(std::string(uuid));
    return copy;
  }
  if (disk->job != "copy")
    return fail(ErrorCode::kConflict, "A block job ({}) works on {}.", disk->job, target);
  copy.copy_path = disk->job_path;
  copy.state = disk->job_ready == "yes" ? DiskCopy::State::kReady : DiskCopy::State::kCopying;
  virDomainBlockJobInfo info{};
  if (virDomainGetBlockJobInfo(found.get(), std::string(target).c_str(), &info, 0) == 1) {
    copy.done = {info.cur};
    copy.total = {info.end};
  }
  return copy;
}

Status Adapter::end_disk_copy(std::string_view uuid, std::string_view target, DiskCopyEnd end) {
  ASSIGN_OR_RETURN(const auto found, find(uuid));
  ASSIGN_OR_RETURN(const DiskCopy now, disk_copy(uuid, target));
  if (now.state == DiskCopy::State::kNone) return {};
  unsigned flags = VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC;
  if (end == DiskCopyEnd::kSwitch) flags |= VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT;
  inventory_.forget(std::string(uuid));
  if (virDomainBlockJobAbort(found.get(), std::string(target).c_str(), flags) != 0)
    return fail_libvirt(fmt::format("Cannot end the copy of {}", target));
  return {};
}

}  // namespace drover::libvirt
