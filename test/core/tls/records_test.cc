// How bytes travel: records, pieces of them, and the end.
#include <algorithm>
#include <cstring>

#include "core/base/random.h"
#include "test/core/tls/ends.h"

namespace weir::tls {
namespace {

using net::CloseReason;

std::string pattern(size_t size) {
  std::string text(size, 'x');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

// Two transports joined without sockets, to see their records.
class RecordTest : public TlsTest {
 protected:
  void join() {
    build();
    there_ = make_client_transport(client_context, lane, options);
    here_ = make_server_transport(server_context, lane);
    for (int i = 0; i < 4; ++i) {
      there_->handshake();
      here_->wire_in().append_all(there_->wire_out());
      here_->handshake();
      there_->wire_in().append_all(here_->wire_out());
      lane.turn();  // each has its share of handshakes
    }
    ASSERT_EQ(there_->handshake(), net::Transport::Step::kDone);
    ASSERT_EQ(here_->handshake(), net::Transport::Step::kDone);
    // The tickets go with the first bytes.
    Slices first;
    first.append_copy("first", lane.lane().blocks());
    ASSERT_TRUE(here_->write(first, 1));
    there_->wire_in().append_all(here_->wire_out());
    Slices in;
    there_->read(in, 1000);
    ASSERT_EQ(in.to_string(), "first");
  }
  // Sizes of the records in wire_out().
  std::vector<size_t> records() {
    std::vector<size_t> sizes;
    std::string wire = here_->wire_out().to_string();
    while (wire.size() >= 5) {
      const size_t size = static_cast<size_t>(static_cast<uint8_t>(wire[3])) << 8 | static_cast<uint8_t>(wire[4]);
      sizes.push_back(size - kOverhead);
      wire.erase(0, 5 + size);
    }
    EXPECT_EQ(wire, "");
    return sizes;
  }
  void append(Slices& to, std::string_view text) {
    BlockRef block = lane.lane().blocks().take(text.size());
    memcpy(block->data(), text.data(), text.size());
    block->set_used(text.size());
    const char* data = block->data();
    to.append(Slice(std::move(block), data, text.size()));
  }
  static constexpr size_t kOverhead = 17;  // TLS 1.3: the kind of content and the tag
  std::unique_ptr<net::Transport> here_, there_;
};

TEST_F(RecordTest, BulkIsInFullRecords) {
  join();
  Slices out;
  append(out, pattern(100'000));
  while (!out.empty()) ASSERT_TRUE(here_->write(out, 1 << 20));
  std::vector<size_t> sizes = records();
  EXPECT_EQ(sizes.size(), 7u);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) EXPECT_EQ(sizes[i], 16384u);
}

TEST_F(RecordTest, SmallSlicesShareARecord) {
  join();
  Slices out;
  for (const char* piece : {"HTTP/1.1 200 OK\r\n", "content-length: 2\r\n\r\n", "ok"}) append(out, piece);
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), std::vector<size_t>{40});
}

TEST_F(RecordTest, AHeadDoesNotShiftTheBlocksBehindIt) {
  join();
  Slices head_and_blocks;
  append(head_and_blocks, pattern(300));
  for (int i = 0; i < 3; ++i) append(head_and_blocks, pattern(16'384));
  ASSERT_TRUE(here_->write(head_and_blocks, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{300, 16'384, 16'384, 16'384}));
  here_->wire_out().clear();
  Slices out;
  append(out, pattern(300));
  append(out, pattern(16'000));
  append(out, pattern(16'384));
  append(out, pattern(16'384));
  append(out, pattern(100));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{16'300, 16'384, 16'384, 100}));
}

TEST_F(RecordTest, SmallPiecesFillRecords) {
  join();
  Slices out;
  for (int i = 0; i < 40; ++i) append(out, pattern(1000));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  EXPECT_EQ(records(), (std::vector<size_t>{16'384, 16'384, 40'000 - 2 * 16'384}));
}

TEST_F(RecordTest, NoMoreThanIsWantedAtOnce) {
  join();
  Slices out;
  append(out, pattern(1'000'000));
  ASSERT_TRUE(here_->write(out, 64 * 1024));
  EXPECT_LT(here_->wire_out().size(), 64 * 1024 + 17'000u);
  EXPECT_GT(out.size(), 900'000u);
  // And on the other side.
  there_->wire_in().append_all(here_->wire_out());
  Slices in;
  EXPECT_EQ(there_->read(in, 20'000), net::Transport::Read::kMore);
  EXPECT_EQ(in.size(), 20'000u);
}

TEST_F(RecordTest, RecordsInPieces) {
  join();
  Slices out;
  append(out, pattern(40'000));
  ASSERT_TRUE(here_->write(out, 1 << 20));
  const std::string wire = here_->wire_out().to_string();
  Random random(1);
  std::string got;
  for (size_t at = 0; at < wire.size();) {
    const size_t size = std::min<size_t>(wire.size() - at, 1 + random.below(7000));
    append(there_->wire_in(), std::string_view(wire).substr(at, size));
    at += size;
    Slices in;
    EXPECT_EQ(there_->read(in, 1 << 20), net::Transport::Read::kNeedInput);
    got += in.to_string();
  }
  EXPECT_TRUE(got == pattern(40'000)) << got.size();
}

TEST_F(RecordTest, ARecordThatWasTurnedOverEndsIt) {
  join();
  Slices out;
  append(out, "hello");
  ASSERT_TRUE(here_->write(out, 1 << 20));
  std::string wire = here_->wire_out().to_string();
  wire.back() = static_cast<char>(wire.back() ^ 1);
  append(there_->wire_in(), wire);
  Slices in;
  EXPECT_EQ(there_->read(in, 1 << 20), net::Transport::Read::kFailed);
  EXPECT_EQ(there_->failure(),
            "TLS_error:|503316581:Cipher functions:OPENSSL_internal:BAD_DECRYPT|268435595:SSL "
            "routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC:TLS_error_end");
  EXPECT_GT(there_->wire_out().size(), 0u) << "an alert";
  EXPECT_EQ(client_spec.stats->connection_error.value(), 1u);
}

TEST_F(TlsTest, MuchDataBothWays) {
  const std::string there = pattern(3'000'000);
  const std::string back = pattern(2'500'000);
  for (const Version version : {Version::kTls12, Version::kTls13}) {
    only(version);
    rebuild();
    meet();
    ASSERT_TRUE(met());
    server->received.clear();
    client->received.clear();
    client->write(there);
    server->write(back);
    client->connection->half_close();
    server->connection->half_close();
    for (int i = 0; i < 2000 && !(server->ended && client->ended); ++i) lane.turn();
    EXPECT_TRUE(server->received == there);
    EXPECT_TRUE(client->received == back);
    EXPECT_TRUE(server->ended && client->ended);
    EXPECT_FALSE(server->connection->transport()->truncated());
    EXPECT_FALSE(client->connection->transport()->truncated());
  }
}

TEST_F(TlsTest, AnEndThatWasNotSaidIsTruncation) {
  meet();
  ASSERT_TRUE(met());
  shutdown(client->connection->fd(), SHUT_WR);
  lane.turns(2);
  EXPECT_TRUE(server->ended);
  EXPECT_TRUE(server->connection->transport()->truncated());
}

TEST_F(TlsTest, CloseIsSaid) {
  meet();
  ASSERT_TRUE(met());
  client->connection->close();
  lane.turns(2);
  EXPECT_TRUE(server->ended);
  EXPECT_FALSE(server->connection->transport()->truncated());
}

}  // namespace
}  // namespace weir::tls
