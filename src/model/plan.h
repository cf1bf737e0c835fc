// SPDX-License-Identifier: Apache-2.0
// What a move would do, and what stands in its way. Plain values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "model/allocation.h"
#include "model/convergence.h"
#include "model/daily_window.h"
#include "model/forecast.h"
#include "model/performance.h"
#include "model/vm.h"

namespace drover {

enum class FindingLevel { kBlocker, kWarning, kNote };

// One result of preflight, or of watching a move. `code` is stable, UPPER_CASE, and has a section
// in docs/findings.md; while a move goes on, in docs/convergence.md, docs/space.md or
// docs/queue.md; of the doctor, in docs/doctor.md.
struct Finding {
  std::string code;
  FindingLevel level = FindingLevel::kNote;
  std::string object;              // the VM, disk, device, network or host it is about
  std::string what;                // one sentence, present tense
  std::string why;                 // what would go wrong
  std::vector<std::string> fixes;  // each one sentence or command, in the order to try them
  bool appliable = false;          // of a plan: --fix CODE does it, and can undo it (docs/fixes.md)
};

// How a move proves that nothing was lost, before the source lets go of anything (docs/proof.md).
enum class Verification {
  kNone,    // what the protocols guarantee
  kAsSent,  // the source's frozen disks hold what the destination was given
  // And the destination's disks, read there, hold it, but for what the guest wrote since.
  kReadBack,
};
std::string_view verification_name(Verification level);  // "none", "as-sent", "read-back"
std::optional<Verification> verification_from_name(std::string_view name);

// What travels, and how (docs/moves.md). What came before there were kinds is live.
enum class MoveKind {
  kLive,     // a running VM to another host
  kStorage,  // disks of a VM, running or off, to another place on its host
  kQuick,    // a running VM to another host: saved, carried and restored
  kOffline,  // a VM that is off, to another host
};
std::string_view move_kind_name(MoveKind kind);  // "live", "storage", "quick", "offline"
std::optional<MoveKind> move_kind_from_name(std::string_view name);

// What becomes of the discs in a VM's drives.
enum class Media {
  kEject,    // they are taken out when the move begins; inserted again if it is undone
  kCopy,     // their files travel too, and stay at the source as well
  kRequire,  // the destination must have the same ones
};
std::string_view media_name(Media media);  // "eject", "copy", "require"
std::optional<Media> media_from_name(std::string_view name);

// Where one item of a VM shall go.
struct ItemPlace {
  std::string item;   // a disk's target: "vda"
  std::string place;  // a folder, or the name of a libvirt pool, of files or of volumes
};

// Where interfaces of a VM are plugged in at the destination.
struct InterfacePlace {
  std::string from;  // a MAC, or the network or bridge that the definition names: "lan"
  std::string to;    // of the destination: a libvirt network or else a bridge, "prod"; or
                     // "network:prod", "bridge:prod"
};

enum class SourceDisposal { kQuarantine, kDeleteNow, kKeepSource };

struct MoveRequest {
  std::string vm;           // name or UUID
  std::string source;       // paired host name; empty: wherever the VM is
  std::string destination;  // paired host name; of a storage move: empty, or the VM's own host
  std::string disks_to;     // folder at the destination; empty: chosen by the plan. Of a storage
                            // move: folder or pool of all disks but `items`; empty: only those move
  std::optional<MoveKind> kind;  // nothing: live, or offline of a VM that is off
  std::vector<ItemPlace> items;  // of a storage move
  bool flatten = false;          // a chain becomes one image; false: it stays a chain
  std::string format;            // of what is copied: "raw" or "qcow2"; empty: each keeps its own
  std::optional<Allocation> allocation;  // likewise; nothing: holes stay holes
  std::optional<Media> media;  // nothing: what the destination has under that name is used
  SourceDisposal disposal = SourceDisposal::kQuarantine;
  std::optional<Performance> performance;  // nothing: as the source's settings say
  unsigned parallel_connections = 0;       // of QEMU's own for memory, with kDirect; 0: one stream
  BytesPerSecond bandwidth;                // of this move; 0: only the source's settings limit it
  std::optional<Convergence> convergence;  // nothing: as the source's settings say
  bool references = true;                  // false: to measure what they save
  Verification verification = Verification::kAsSent;
  std::optional<std::vector<std::string>> networks;  // for its links, in order; nothing: as the
                                                     // settings say; empty: any
  std::vector<InterfacePlace> interfaces;  // as asked; what is remembered of the hosts is added
  std::string group;                       // whose VMs' disk content it may share; or ""
  bool keep_memory = false;                // at the source, for the way back
  int priority = 0;                        // in the queue; higher goes first
  std::optional<std::chrono::system_clock::time_point>
      begin_at;                         // it waits in the queue until then
  std::optional<DailyWindow> window;    // in which it switches; nothing: at any time
  std::vector<std::string> candidates;  // further destinations, in this order, if the move to
                                        // `destination` cannot begin or fails (docs/evacuate.md)
  std::vector<std::string> passed;      // set by droverd: candidates before, each with the reason
  std::string continues;                // set by droverd: the failed move before this one, or ""
  std::optional<unsigned> retries;      // nothing: as the source's settings say
  bool measure = true;        // false: the forecast asks neither guest nor link, only earlier moves
  bool hurry = false;         // nobody reads the plan: its forecast takes what is known from before
  bool rehearse = false;      // everything up to the copy, then undo (docs/forecast.md)
  bool accept_notes = false;  // --yes
  std::vector<std::string> accepted_codes;  // --accept CODE, for warnings
  std::string
      requested_by;  // "alice", "token:ci", "alice@host3"; set by the API, never by the caller
};

// Where one disk lands.
struct DiskPlacement {
  std::string target;
  std::string source_path;
  std::string destination_path;
  std::string format;
  ByteCount virtual_size;
  ByteCount allocated;
  ByteCount cluster_size;
  bool shared = false;  // both hosts see this very file: it stays, whatever becomes of the move
  std::optional<Allocation> allocation = {};  // as asked; nothing: holes stay holes
  // The libvirt pools of block devices that the paths are volumes of; empty: files. A volume holds
  // one raw disk, in its first `virtual_size` bytes.
  std::string source_pool = {};
  std::string destination_pool = {};
};

// A whole file that nobody writes any more and that travels before the disks: a layer below a
// disk's image, a checkpoint's memory, or a disc.
struct FilePlacement {
  std::string item;  // the disk's target, its layers nearest first; of memory: "memory of NAME"; of
                     // a disc its drive's target
  std::string source_path;
  std::string destination_path;
  std::string format;      // a layer's; of memory "raw"
  ByteCount virtual_size;  // of memory the file's length
  ByteCount allocated;
  ByteCount cluster_size;  // qcow2 only, else 0
  bool present = false;    // the destination has a file of this very content there: it is used
  bool shared = false;     // both hosts see this very file
};

inline constexpr std::string_view kAnyNetwork = "any";

// A way that links take. For "any" it is the one by which the hosts were paired.
struct NetworkPair {
  std::string network;              // "10.77.1.0/24", or "any"
  std::string source_address;       // links leave here; of "any" only for people, may be empty
  std::string destination_address;  // and are accepted there; of "any" it may be a name
};

struct Plan {
  std::string id;
  MoveKind kind = MoveKind::kLive;
  MoveRequest request;
  Vm vm;
  std::vector<DiskPlacement> placements;
  std::vector<FilePlacement> files = {};
  std::string nvram_destination;      // empty: the VM has none
  std::vector<NetworkPair> networks;  // all are used at once, the first named first
  std::vector<Finding> findings;
  ByteCount bytes_expected;    // memory plus allocated blocks of copied disks: an upper estimate of
                               // one pass
  ByteCount quarantine_bytes;  // what the source keeps occupied afterwards
  std::optional<Forecast> forecast;  // nothing: there are blockers, or nothing to go by
  std::chrono::system_clock::time_point made_at;
  std::chrono::system_clock::time_point expires_at;
};

// A plan that its user has seen shall be carried out.
struct PlanApproval {
  std::string plan_id;
  bool accept_notes = false;
  std::vector<std::string> accepted_codes;  // warnings
  // Another plan of this host, whose move is asked for at the same time: this one takes its place
  // in the queue behind it.
  std::string after;
  std::string requested_by;
};

}  // namespace drover
