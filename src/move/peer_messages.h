// SPDX-License-Identifier: Apache-2.0
// What two daemons say to each other about a move: the verbs of /v1/peer/VERB and their bodies, as
// values and as JSON. Decoders refuse unknown or missing members (kProtocol) and never throw.
// docs/peer_verbs.md lists them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "content/ops.h"
#include "model/move.h"
#include "preflight/preflight.h"

namespace drover::move {

// The verbs. All but the first ones name a move by its id and may be repeated safely.
namespace verb {
inline constexpr std::string_view kVms = "vms";      // {} -> list of Vm; right: none
inline constexpr std::string_view kFacts = "facts";  // {} -> HostFacts; right: none
inline constexpr std::string_view kCheck = "check";  // {} -> CheckReply; right: none
inline constexpr std::string_view kPreflight =
    "preflight";  // Proposal -> DestinationReport; right: send
inline constexpr std::string_view kMeasure = "measure";  // measure.h; right: send
inline constexpr std::string_view kAdmit = "admit";      // AdmitRequest -> AdmitReply; right: send
inline constexpr std::string_view kReserve = "reserve";  // ReserveRequest -> {}; right: send
inline constexpr std::string_view kLayers = "layers";    // MoveName -> {}; they are awaited
inline constexpr std::string_view kFile = "file";        // FileRequest -> {}; it is the same here
inline constexpr std::string_view kPrepare = "prepare";  // MoveName -> {}; images, gate, mover
inline constexpr std::string_view kSpace = "space";      // MoveName -> SpaceReply; reads only
inline constexpr std::string_view kArrive = "arrive";    // ArriveRequest -> Answer; take the VM
inline constexpr std::string_view kAnswer = "answer";    // MoveName -> Answer: who runs the VM
inline constexpr std::string_view kLook = "look";        // MoveName -> Answer; records nothing
inline constexpr std::string_view kVerify = "verify";    // MoveName -> VerifyReply; all is synced
inline constexpr std::string_view kProve = "prove";      // ProveRequest -> ProveReply
inline constexpr std::string_view kUnwatch = "unwatch";  // MoveName -> {}; no more is proven
inline constexpr std::string_view kSettle = "settle";    // SettleRequest -> {}; the move is over
inline constexpr std::string_view kSigns = "signs";      // SignsRequest -> GuestSigns; how it does
inline constexpr std::string_view kAbandon = "abandon";  // MoveName -> {}; the VM is the source's
inline constexpr std::string_view kUndo = "undo";        // MoveName -> {}; nothing is left here
}  // namespace verb

struct MoveName {
  std::string move;
};

// For the doctor of the host that asks.
struct CheckReply {
  std::chrono::system_clock::time_point time;  // of our clock
  std::string version;                         // of Drover; empty: not known
  bool may_send = false;                       // the asker may move VMs to us
};

// May this move begin, or: its place is not needed any more.
struct AdmitRequest {
  std::string move;
  bool give_back = false;
  bool rests = false;  // with give_back, also of a move that is there: it waits for its window
};

struct AdmitReply {
  bool granted = false;
  std::string text;  // for people: why not
};

struct ReserveRequest {
  std::string move;
  std::string epoch;
  Plan plan;
  std::string destination_xml;
  std::string persistent_xml;
  std::string link_key;       // hex of the 32 byte pre-shared key of this move's links
  std::string link_identity;  // what both movers bind that key to
  std::vector<preflight::DiskMark> marks = {};   // on the images of shared placements, all of them;
                                                 // of layers likewise, by their path
  std::vector<CheckpointText> checkpoints = {};  // adapted to the destination
};

// A file that a disk stands on, to be compared with the destination's.
struct FileRequest {
  std::string move;
  std::string path;    // there
  std::string digest;  // content::file_digest
};

// Of a quick or offline move: everything was sent, and the source has let the VM go.
struct ArriveRequest {
  std::string move;
  // Of the files that travelled as they are, in the order of their streams; `sha256` is empty for a
  // saved state, of which pages that are the same as before do not travel twice.
  struct File {
    std::string item;  // cold_files.h
    std::string sha256;
  };
  std::vector<File> files;
  // The first bytes of the saved state as they are now: the hypervisor finished them last.
  std::string state_head;
};
inline constexpr std::size_t kStateHeadMax = 1 << 20;

// How much room is left where the copied disks land (docs/space.md): of the file system that has
// least of what it shall keep free.
struct SpaceReply {
  ByteCount free;
  ByteCount reserve;                 // the destination's setting
  std::chrono::seconds patience{0};  // likewise
  std::string folder;                // for people

  bool is_short() const { return free < reserve; }
};

// The destination's word on who runs the VM (docs/ownership.md, rules 2 and 3).
struct Answer {
  enum class Kind {
    kRefused,  // FINISH was never let through, and never will be
    kPending,  // accepted, and libvirt there is not done or does not answer: ask again
    kRuns,     // the guest is there
    kGone,     // accepted, and no longer there
  };
  enum class Ran { kNo, kYes, kUnknown };
  Kind kind = Kind::kPending;
  Ran ran = Ran::kUnknown;     // of kGone
  std::int32_t domain_id = 0;  // of kRuns
  std::string text;            // for people
  // To `look`, of a move without gates: what it sends cannot be written there any more.
  std::optional<Error> failed = {};
};

struct VerifyReply {
  bool runs = false;
  std::string text;
  std::chrono::milliseconds pause{0};  // zero: the hypervisor did not say
  ByteCount memory_sent;
  ByteCount disks_sent;
  std::string checkpoints_lost = {};  // why libvirt there does not know them; empty: it does
};

// A part of the source's frozen disk, to be compared at the destination.
struct ProveRequest {
  enum class With {
    kGiven,     // what it was given, by chunks of content::kChunkBytes
    kRead,      // what its disk holds now, by chunks: what differs may be the guest's doing
    kReadBlock  // the same by blocks; what the guest wrote since is told apart
  };
  std::string move;
  With with = With::kGiven;
  std::string target;
  std::uint64_t first = 0;           // chunk, or block
  std::vector<content::Name> names;  // from there on, at most kProveNamesMax
};
inline constexpr std::size_t kProveNamesMax = 4096;

struct ProveReply {
  std::vector<std::uint64_t> different = {};  // chunks, or blocks
  std::uint64_t excluded = 0;                 // blocks that differ, and that the guest wrote
  std::uint64_t unproven = 0;                 // chunks of which the destination cannot say it
  std::string text = {};                      // why, if it is more than a few
};

// How the guest that came by this move does; and its clock may be set first, by its agent.
struct SignsRequest {
  std::string move;
  std::optional<std::int64_t> clock_ahead_ms = {};  // before the host's
};

struct SettleRequest {
  std::string move;
  bool autostart = false;
};

std::string to_json(const MoveName&);
std::string to_json(const CheckReply&);
std::string to_json(const AdmitRequest&);
std::string to_json(const AdmitReply&);
std::string to_json(const ReserveRequest&);
std::string to_json(const ArriveRequest&);
std::string to_json(const FileRequest&);
std::string to_json(const SpaceReply&);
std::string to_json(const Answer&);
std::string to_json(const VerifyReply&);
std::string to_json(const ProveRequest&);
std::string to_json(const ProveReply&);
std::string to_json(const SettleRequest&);
std::string to_json(const SignsRequest&);
std::string to_json(const preflight::Proposal&);
std::string to_json(const preflight::DestinationReport&);

Result<MoveName> move_name_from_json(std::string_view text);
Result<CheckReply> check_reply_from_json(std::string_view text);
Result<AdmitRequest> admit_request_from_json(std::string_view text);
Result<AdmitReply> admit_reply_from_json(std::string_view text);
Result<ReserveRequest> reserve_request_from_json(std::string_view text);
Result<ArriveRequest> arrive_request_from_json(std::string_view text);
Result<FileRequest> file_request_from_json(std::string_view text);
Result<SpaceReply> space_reply_from_json(std::string_view text);
Result<Answer> answer_from_json(std::string_view text);
Result<VerifyReply> verify_reply_from_json(std::string_view text);
Result<ProveRequest> prove_request_from_json(std::string_view text);
Result<ProveReply> prove_reply_from_json(std::string_view text);
Result<SettleRequest> settle_request_from_json(std::string_view text);
Result<SignsRequest> signs_request_from_json(std::string_view text);
Result<preflight::Proposal> proposal_from_json(std::string_view text);
Result<preflight::DestinationReport> destination_report_from_json(std::string_view text);

}  // namespace drover::move
