// One connection to the admin interface. Reads a request whole, has it answered, hands the answer to the socket in
// pieces with a turn in between, and only then looks at the next request. Private to this folder. [main]
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/http/h1/server_codec.h"
#include "core/net/connection.h"
#include "core/server/admin/admin_server.h"
#include "core/stream/stream_info.h"

namespace weir::admin {

class AdminConnection final : public net::ConnectionHandler,
                              public http::h1::ServerCodec::Events,
                              public event::Deferred {
 public:
  AdminConnection(AdminServer& server, int fd, const net::Address& remote);
  ~AdminConnection();
  void start();
  // Closes if nothing of a request has come and nothing is being sent.
  bool close_if_idle();
  // Closes if a request has begun that is not complete.
  bool close_if_waiting();

  // ConnectionHandler.
  void on_data(Slices& in, bool end) override;
  void on_drained() override;
  void on_closed(net::CloseReason reason) override;
  // Deferred.
  void dispose() override;
  // ServerCodec::Events.
  http::HeaderMap& begin_request() override;
  void on_request_head(const http::h1::RequestHead& head, BlockRef owner) override;
  void on_request_data(Slices& data, bool end_stream) override;
  http::HeaderMap& begin_trailers() override;
  void on_request_trailers(http::HeaderMap& trailers) override;
  void on_parse_error(http::h1::ParseError error, int suggested_status) override;

 private:
  enum class Phase : uint8_t { kReceiving, kReady, kWorking, kSending, kSent };
  // An answer that is being made elsewhere. Outlives the connection if need be.
  struct Work {
    AdminResponse response;
    AdminConnection* connection;  // [main] null: gone
  };

  struct Exchange {
    explicit Exchange(ArenaPool& pool) : arena(pool), request(arena), trailers(arena), response(arena) {}
    Arena arena;
    http::HeaderMap request;
    http::HeaderMap trailers;
    http::HeaderMap response;
    BlockRef head;
    std::string request_body;
    MonoTime start{};
    WallTime start_wall{};
    stream::WireBytes wire;
    bool http_10 = false;
  };

  class IdleTimer final : public event::Timer {
   public:
    explicit IdleTimer(AdminConnection& owner) : owner_(owner) {}
    void on_timer() override { owner_.on_idle(); }

   private:
    AdminConnection& owner_;
  };
  class NextTurn final : public event::EndOfTurn {
   public:
    explicit NextTurn(AdminConnection& owner) : owner_(owner) {}
    void on_end_of_turn() override { owner_.on_next_turn(); }

   private:
    AdminConnection& owner_;
  };

  Exchange& exchange();
  void refuse(int status, std::string text);
  void answer();
  void prepare();
  void start_work();
  void finish_work();
  // Too much waits for clients that are slow to take it.
  void limit(AdminResponse& response) const;
  void send(AdminResponse response);
  void send_piece();
  // Of a large one another thread gets rid.
  void drop_body();
  void finish();
  void on_idle();
  void on_next_turn();
  void write_access_log();

  AdminServer& server_;
  net::Connection connection_;
  http::h1::ServerCodec codec_;
  Phase phase_ = Phase::kReceiving;
  std::optional<Exchange> exchange_;
  std::shared_ptr<Work> work_;  // while it is under way
  int status_ = 0;
  LongText body_;         // of the answer; what is queued points into it
  size_t body_sent_ = 0;  // handed to the connection
  size_t chunk_ = 0;      // of the body: which one is next, and how much of it was handed on
  size_t in_chunk_ = 0;
  uint64_t progress_ = 0;  // bytes_written() when the idle timer was armed
  IdleTimer idle_{*this};
  NextTurn next_turn_{*this};
};

}  // namespace weir::admin
