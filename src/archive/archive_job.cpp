// SPDX-License-Identifier: Apache-2.0
#include "archive/archive_job.h"

#include "archive/checkpoint_json.h"
#include "json/archive_json.h"

namespace drover::archive {
namespace {

using Json = nlohmann::json;
using json::Fields;
using json::Unknown;

Json encode(const move::KnownFile& file) {
  return {{"target", file.target}, {"path", file.path},       {"device", file.device},
          {"inode", file.inode},   {"born_ns", file.born_ns}, {"boot", file.boot}};
}

Status decode_file(const Json& from, move::KnownFile& out) {
  return Fields(from, "file", Unknown::kIgnore)
      .need("target", out.target)
      .need("path", out.path)
      .need("device", out.device)
      .need("inode", out.inode)
      .need("born_ns", out.born_ns)
      .need("boot", out.boot)
      .finish();
}

}  // namespace

std::string to_json(const ArchiveJob& job) {
  Json created = Json::array();
  for (const move::KnownFile& file : job.created) created.push_back(encode(file));
  return json::dump({{"archive", json::encode(job.archive)},
                     {"staging", encode(job.staging)},
                     {"picture", job.picture},
                     {"stopped", job.stopped},
                     {"created", created},
                     {"defining", job.defining},
                     {"checkpoints", checkpoints_to_json(job.checkpoints)}});
}

Result<ArchiveJob> archive_job_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  ArchiveJob job;
  Json staging, created;
  Json checkpoints = Json::array();  // earlier releases wrote none
  RETURN_IF_ERROR(Fields(tree, "", Unknown::kIgnore)
                      .need("archive", job.archive)
                      .need("staging", staging)
                      .need("picture", job.picture)
                      .may("stopped", job.stopped)
                      .need("created", created)
                      .need("defining", job.defining)
                      .may("checkpoints", checkpoints)
                      .finish());
  ASSIGN_OR_RETURN(job.checkpoints, checkpoints_from_json(checkpoints));
  RETURN_IF_ERROR(decode_file(staging, job.staging));
  for (const Json& one : created) {
    job.created.emplace_back();
    RETURN_IF_ERROR(decode_file(one, job.created.back()));
  }
  return job;
}

}  // namespace drover::archive
