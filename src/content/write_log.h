// SPDX-License-Identifier: Apache-2.0
// Watches one NBD stream at the destination and puts down in the record what each write that was
// answered well left on the disk. A block that two writes under way touched, or a failed one, is
// unknown; so is the whole disk once the stream is not understood. Requests on one thread, answers
// on another.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "content/content_name.h"
#include "content/nbd_pending.h"
#include "content/nbd_replies.h"
#include "content/nbd_requests.h"
#include "content/write_record.h"

namespace drover::content {

class WriteLog : NbdRequestParser::Sink, NbdReplyParser::Sink {
 public:
  explicit WriteLog(std::shared_ptr<WriteRecord> record);
  // What was never answered is unknown.
  ~WriteLog() override;

  // What goes to the server, before it is written to its socket; in order.
  void take_requests(std::span<const std::uint8_t> bytes) { requests_.feed(bytes, *this); }
  // What came from it, before anybody else hears of it; in order.
  void take_answers(std::span<const std::uint8_t> bytes) { replies_.feed(bytes, *this); }

 private:
  // In blocks of 4,096 bytes.
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
  };
  struct Pending {
    NbdRequest request;
    Run touched;  // all blocks that it changes, also in part; empty unless it writes
    Run whole;    // those that it covers whole
    bool failed = false;
    std::vector<Name> names;   // of a write's whole blocks, as they went by
    std::vector<Run> clashes;  // with others that were under way
  };

  void export_chosen(std::string_view name) override;
  void request(const NbdRequest& request) override;
  void payload(std::span<const std::uint8_t> bytes) override;
  void unknown() override;
  void answered(std::uint64_t cookie, bool good) override;
  void failed(std::uint64_t cookie) override;
  std::uint64_t data_bytes(std::uint64_t cookie) override;

  void name_block(std::span<const std::uint8_t> block);
  void put_down(const Pending& write);
  void put_unknown(const Run& run);
  void give_up();

  const std::shared_ptr<WriteRecord> record_;
  // Of the thread of requests: the write whose payload goes by.
  NbdRequestParser requests_;
  Namer namer_;
  std::string export_name_;
  bool begun_ = false;
  std::uint64_t write_cookie_ = 0;
  std::uint64_t write_at_ = 0;  // bytes
  std::uint64_t write_end_ = 0;
  std::vector<std::uint8_t> part_;  // of a block whose rest comes later
  std::vector<Name> names_;
  // Of the thread of answers.
  NbdReplyParser replies_;
  std::mutex mutex_;  // guards what follows
  std::uint32_t disk_ = 0;
  bool lost_ = false;  // the disk is unknown for good
  NbdPending<Pending> pending_;
};

}  // namespace drover::content
