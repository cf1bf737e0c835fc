// SPDX-License-Identifier: Apache-2.0
#include "content/decoder.h"

#include <algorithm>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "base/big_endian.h"
#include "content/content_name.h"
#include "content/ops.h"

namespace drover::content {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr ContentKey kKey{1, 2, 3};

Bytes page(unsigned content) {
  Bytes bytes(kBlockBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>((content * 2654435761u >> i % 24) + i);
  return bytes;
}

Name name_of(const Bytes& bytes) {
  return Namer(kKey).name(std::span<const std::uint8_t, kBlockBytes>(bytes.data(), kBlockBytes));
}

Bytes record(std::uint64_t number, std::uint64_t flags, const Bytes& body) {
  Bytes bytes(8);
  store_be<std::uint64_t>(bytes.data(), number * kBlockBytes | flags | kFlagContinue);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

Batch batch_of(const std::vector<Op>& ops, const std::vector<Bytes>& literals = {}) {
  Batch batch;
  for (const Op& op : ops) append_op(batch.ops, op);
  for (const Bytes& bytes : literals)
    batch.literals.insert(batch.literals.end(), bytes.begin(), bytes.end());
  return batch;
}

std::size_t raw_length_of(const std::vector<Op>& ops) {
  std::size_t sum = 0;
  for (const Op& op : ops) sum += op.raw_bytes();
  return sum;
}

class Disks : public DiskReader {
 public:
  Status read(const std::string& export_name, std::span<const std::uint64_t> offsets,
              std::span<std::uint8_t> out) override {
    ++reads;
    for (const std::uint64_t offset : offsets) {
      const auto found = blocks.find({export_name, offset});
      if (found == blocks.end()) return fail(ErrorCode::kNotFound, "No block there.");
      std::copy(found->second.begin(), found->second.end(), out.begin());
      out = out.subspan(kBlockBytes);
    }
    return {};
  }
  bool read_named(const Name& name, std::span<std::uint8_t, kBlockBytes> out) override {
    const auto found = named.find(name);
    if (found != named.end()) std::ranges::copy(found->second, out.begin());
    return found != named.end();
  }
  std::map<std::pair<std::string, std::uint64_t>, Bytes> blocks;
  std::map<Name, Bytes> named;
  int reads = 0;
};

struct Receiver {
  explicit Receiver(std::size_t cache_pages = 4)
      : disks(std::make_shared<Disks>()),
        content(std::make_shared<DestinationContent>(
            kKey, disks, DestinationLimits{.cache_bytes = cache_pages * kBlockBytes})),
        decoder(content) {}
  auto decode(const std::vector<Op>& ops, const std::vector<Bytes>& literals = {}) {
    return decoder.decode(batch_of(ops, literals), raw_length_of(ops));
  }
  std::shared_ptr<Disks> disks;
  std::shared_ptr<DestinationContent> content;
  Decoder decoder;
};

Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Op pages(HeaderMode mode, std::uint64_t number, std::uint64_t count) {
  return {.kind = OpKind::kPages, .mode = mode, .page = number, .count = count};
}
Op cached(std::uint64_t at, std::uint64_t age, unsigned content) {
  return {.kind = OpKind::kCachedPage,
          .mode = HeaderMode::kAt,
          .page = at,
          .where = age,
          .name = name_of(page(content))};
}
Op on_disk(std::uint64_t at, std::uint8_t disk, std::uint64_t block, unsigned content) {
  return {.kind = OpKind::kDiskPage,
          .mode = HeaderMode::kAt,
          .page = at,
          .where = block,
          .disk = disk,
          .name = name_of(page(content))};
}
Op define(std::uint8_t disk, const Bytes& name) {
  return {.kind = OpKind::kDisk, .disk = disk, .text = name};
}

TEST(Decoder, BelievesAnImageOnlyWhatIsStillThere) {
  Receiver receiver;
  const Bytes vda{'v', 'd', 'a'};
  receiver.disks->blocks[{"vda", 5 * kBlockBytes}] = page(20);
  receiver.disks->blocks[{"vda", 6 * kBlockBytes}] = page(21);
  receiver.disks->named[name_of(page(20))] = page(20);
  receiver.disks->named[name_of(page(21))] = page(99);  // written anew since it was named
  const auto one = receiver.decode({define(0, vda), on_disk(1, 0, 5, 20)});
  ASSERT_TRUE(one && *one);
  EXPECT_EQ(**one, record(1, kFlagPage, page(20)));
  EXPECT_EQ(receiver.disks->reads, 0) << "it lay in a file";
  const auto both = receiver.decode({on_disk(1, 0, 5, 20), on_disk(2, 0, 6, 21)});
  ASSERT_TRUE(both && *both);
  EXPECT_EQ(**both, joined({record(1, kFlagPage, page(20)), record(2, kFlagPage, page(21))}));
  EXPECT_EQ(receiver.disks->reads, 1);
}

TEST(Decoder, RebuildsPageRecordsFromRuns) {
  Receiver receiver;
  const auto bytes = receiver.decode(
      {pages(HeaderMode::kAt, 7, 2),
       {.kind = OpKind::kZeroPages, .mode = HeaderMode::kSkip, .page = 3, .count = 2},
       {.kind = OpKind::kSamePages, .mode = HeaderMode::kNext, .count = 5},
       {.kind = OpKind::kPlainPages, .mode = HeaderMode::kNext},
       {.kind = OpKind::kLiteral, .count = 3}},
      {page(1), page(2), page(3), {9, 9, 9}});
  ASSERT_TRUE(bytes && *bytes);
  EXPECT_EQ(**bytes, joined({record(7, kFlagPage, page(1)),
                             record(8, kFlagPage, page(2)),
                             record(11, kFlagZero, {0}),
                             record(12, kFlagZero, {0}),
                             record(18, kFlagPage, page(3)),
                             {9, 9, 9}}));
}

TEST(Decoder, KeepsHeadersThatNameABlock) {
  Receiver receiver;
  const Bytes block{3, 'r', 'a', 'm'};
  Bytes header(8);
  store_be<std::uint64_t>(header.data(), 5 * kBlockBytes | kFlagPage);
  const auto bytes = receiver.decode(
      {{.kind = OpKind::kHeader, .where = 5 * kBlockBytes | kFlagPage, .text = block},
       pages(HeaderMode::kNone, 0, 2)},
      {page(1), page(2)});
  ASSERT_TRUE(bytes && *bytes);
  EXPECT_EQ(**bytes, joined({header, block, page(1), record(6, kFlagPage, page(2))}));
}

TEST(Decoder, TakesPagesFromItsCacheAndFromTheSameBatch) {
  Receiver receiver;
  ASSERT_TRUE(*receiver.decode({pages(HeaderMode::kAt, 0, 2)}, {page(1), page(2)}));
  const auto bytes = receiver.decode(
      {pages(HeaderMode::kAt, 2, 1), cached(3, 1, 3), cached(4, 2, 2), cached(5, 3, 1)}, {page(3)});
  ASSERT_TRUE(bytes && *bytes);
  EXPECT_EQ(**bytes, joined({record(2, kFlagPage, page(3)), record(3, kFlagPage, page(3)),
                             record(4, kFlagPage, page(2)), record(5, kFlagPage, page(1))}));
}

TEST(Decoder, MissesWhatItsCacheNeverHadOrHasNoMore) {
  Receiver receiver(2);
  EXPECT_FALSE(*receiver.decode({cached(0, 1, 1)})) << "nothing cached";
  EXPECT_FALSE(*receiver.decode({cached(0, 0, 1)}));
  ASSERT_TRUE(*receiver.decode({pages(HeaderMode::kAt, 0, 3)}, {page(1), page(2), page(3)}));
  EXPECT_FALSE(*receiver.decode({cached(0, 3, 1)})) << "two slots";
  EXPECT_FALSE(*receiver.decode({cached(0, 1, 1)})) << "another content";
  EXPECT_TRUE(*receiver.decode({cached(0, 2, 2)}));
}

TEST(Decoder, AMissChangesNothingAndTheMendedRangeCatchesUp) {
  Receiver receiver;
  const std::vector<Op> ops{pages(HeaderMode::kAt, 0, 1), cached(1, 9, 8),
                            pages(HeaderMode::kNext, 0, 1)};
  const Bytes raw = joined({record(0, kFlagPage, page(1)), record(1, kFlagPage, page(8)),
                            record(2, kFlagPage, page(2))});
  const Batch batch = batch_of(ops, {page(1), page(2)});
  ASSERT_EQ(raw_length_of(ops), raw.size());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(*receiver.decoder.decode(batch, raw.size()));
  EXPECT_FALSE(*receiver.decode({cached(0, 1, 1)})) << "nothing was learnt from a miss";
  const auto mended = receiver.decoder.decode(mend(raw, batch.ops), raw.size());
  ASSERT_TRUE(mended && *mended);
  EXPECT_EQ(**mended, raw);
  // As if the reference had been good: page 8 is not in the cache, 1 and 2 are.
  EXPECT_TRUE(*receiver.decode({cached(0, 1, 2), cached(1, 2, 1)}));
}

TEST(Decoder, ReadsDisksAndVerifiesWhatItRead) {
  Receiver receiver;
  const Bytes vda{'v', 'd', 'a'};
  receiver.disks->blocks[{"vda", 40960}] = page(1);
  receiver.disks->blocks[{"vda", 0}] = page(2);
  EXPECT_FALSE(*receiver.decode({on_disk(0, 3, 10, 1)})) << "no such disk yet";
  ASSERT_TRUE(*receiver.decode({define(3, vda)}));
  const auto bytes = receiver.decode({on_disk(0, 3, 10, 1), on_disk(1, 3, 0, 2)});
  ASSERT_TRUE(bytes && *bytes);
  EXPECT_EQ(**bytes, joined({record(0, kFlagPage, page(1)), record(1, kFlagPage, page(2))}));
  EXPECT_EQ(receiver.disks->reads, 1) << "one read for all blocks";
  EXPECT_TRUE(*receiver.decode({define(5, vda), on_disk(0, 5, 10, 1)})) << "defined on the spot";
  receiver.disks->blocks[{"vda", 40960}] = page(5);
  EXPECT_FALSE(*receiver.decode({on_disk(0, 3, 10, 1)})) << "written since";
  EXPECT_FALSE(*receiver.decode({on_disk(0, 3, 77, 1)})) << "cannot be read";
}

TEST(Decoder, RefusesASecondNameForADisk) {
  Receiver receiver;
  const Bytes vda{'v', 'd', 'a'}, vdb{'v', 'd', 'b'};
  ASSERT_TRUE(receiver.decode({define(0, vda), define(1, vdb)}));
  EXPECT_TRUE(receiver.decode({define(0, vda)}));
  EXPECT_FALSE(receiver.decode({define(0, vdb)}));
  EXPECT_FALSE(receiver.decode({define(3, vda), define(3, vdb)}));
  EXPECT_FALSE(receiver.decode({define(2, {})}));
}

TEST(Decoder, GivesTheCacheToOneStream) {
  Receiver receiver;
  Decoder other(receiver.content);
  ASSERT_TRUE(receiver.decode({pages(HeaderMode::kAt, 0, 1)}, {page(1)}));
  const std::vector<Op> ops{pages(HeaderMode::kAt, 0, 1)};
  EXPECT_FALSE(other.decode(batch_of(ops, {page(1)}), raw_length_of(ops)));
}

TEST(Decoder, RefusesBatchesThatContradictThemselves) {
  Receiver receiver;
  const auto refused = [&](const std::vector<Op>& ops, const std::vector<Bytes>& literals,
                           std::ptrdiff_t more = 0) {
    const auto raw_length =
        static_cast<std::size_t>(static_cast<std::ptrdiff_t>(raw_length_of(ops)) + more);
    return !receiver.decoder.decode(batch_of(ops, literals), raw_length).has_value();
  };
  EXPECT_TRUE(refused({{.kind = OpKind::kLiteral, .count = 3}}, {{1, 2}})) << "too few literals";
  EXPECT_TRUE(refused({{.kind = OpKind::kLiteral, .count = 1}}, {{1, 2}})) << "too many";
  EXPECT_TRUE(refused({{.kind = OpKind::kLiteral, .count = 2}}, {{1, 2}}, 1));
  EXPECT_TRUE(refused({{.kind = OpKind::kLiteral, .count = 2}}, {{1, 2}}, -1));
  EXPECT_TRUE(refused({pages(HeaderMode::kNext, 0, 1)}, {page(1)})) << "next to nothing";
  EXPECT_TRUE(refused({pages(HeaderMode::kNone, 0, 2)}, {page(1), page(1)})) << "next to nothing";
  constexpr std::uint64_t kLast = (std::uint64_t{1} << 52) - 1;
  EXPECT_TRUE(refused({pages(HeaderMode::kAt, kLast, 2)}, {page(1), page(1)}));
  EXPECT_FALSE(refused({pages(HeaderMode::kAt, kLast, 1)}, {page(1)}));
  EXPECT_TRUE(refused({{.kind = OpKind::kSamePages, .mode = HeaderMode::kAt, .page = kLast},
                       {.kind = OpKind::kSamePages, .mode = HeaderMode::kSkip, .page = kLast}},
                      {}));
}

TEST(OpReader, RefusesWhatTheTableDoesNotAllow) {
  const Bytes bad[] = {
      {0x00},                                  // kind 0
      {0x0a, 1},                               // kind 10
      {0x41, 1},                               // reserved bits
      {0x11, 1},                               // a literal with a header
      {0x01},                                  // no count
      {0x01, 0},                               // counts nothing
      {0x01, 0x81},                            // a number without an end
      {0x01, 0xff, 0xff, 0xff, 1},             // more than a frame covers
      {0x03, 1},                               // zero pages without a header
      {0x02, 0, 0, 0, 0, 0, 0, 0, 8},          // a header that names a block, without the name
      {0x02, 0, 0, 0, 0, 0, 0, 0, 8, 3, 'a'},  // its name cut
      {0x06, 1, 0, 0},                         // a name cut
      {0x07, 128, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},   // disk 128
      {0x09, 64, 3, 'v', 'd', 'a'},                                     // a held file's name
      {0x09, 0, 4, 'v', 'd', 'a'},                                      // a disk's name cut
      {0x34, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1},  // no page has this number
  };
  for (const Bytes& ops : bad)
    EXPECT_FALSE(OpReader(ops).next()) << int{ops[0]} << ' ' << ops.size();
}

TEST(OpReader, ReadsBackWhatWasAppended) {
  const Bytes text{2, 'x', 'y'};
  for (const Op& op : {Op{.kind = OpKind::kLiteral, .count = 1u << 20}, cached(1234567, 16384, 5),
                       on_disk(99, 63, std::uint64_t{1} << 50, 6), define(5, text),
                       Op{.kind = OpKind::kHeader, .where = 0x1008, .text = text},
                       Op{.kind = OpKind::kHeader, .where = 0x1028}}) {
    std::vector<std::uint8_t> ops;
    append_op(ops, op);
    OpReader reader(ops);
    const auto back = reader.next();
    ASSERT_TRUE(back && *back);
    std::vector<std::uint8_t> again;
    append_op(again, **back);
    EXPECT_EQ(again, ops);
    EXPECT_EQ((*back)->raw_bytes(), op.raw_bytes());
    EXPECT_FALSE(*reader.next());
  }
}

}  // namespace
}  // namespace drover::content
