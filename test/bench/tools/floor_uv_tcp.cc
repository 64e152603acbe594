// The floor over uv_tcp_t: uv_read_start() once per connection, uv_try_write() into the other, uv_write() only for what
// does not fit.
#include <uv.h>

#include <algorithm>

#include "floor.h"

namespace weir::bench {
namespace {

class UvTcpFloor;

struct End {
  uv_tcp_t tcp;
  UvTcpFloor* floor = nullptr;
  End* peer = nullptr;
  bool client = false;
  bool dead = false;
  bool write_waits = false;
};

struct Write {
  uv_write_t request;
  End* to;
  std::vector<char> bytes;
};

class UvTcpFloor {
 public:
  UvTcpFloor(const FloorSettings& settings, int listener)
      : settings_(settings), ports_(settings), buffer_(settings.buffer_size) {
    uv_loop_init(&loop_);
    uv_timer_init(&loop_, &tick_);
    uv_timer_start(
        &tick_, [](uv_timer_t*) {}, 1000, 1000);
    for (size_t i = 0; i < settings.pool; ++i) {
      End* end = make(false);
      uv_tcp_open(&end->tcp, ports_.connect_next());
      start_reading(*end);
      idle_.push_back(end);
    }
    uv_tcp_init(&loop_, &accept_);
    uv_tcp_open(&accept_, listener);
    accept_.data = this;
    uv_listen(reinterpret_cast<uv_stream_t*>(&accept_), 4096, [](uv_stream_t* server, int status) {
      if (status == 0) static_cast<UvTcpFloor*>(server->data)->on_connection();
    });
  }

  [[noreturn]] void run() {
    while (true) uv_run(&loop_, UV_RUN_DEFAULT);
  }

 private:
  End* make(bool client) {
    auto* end = new End;
    end->floor = this;
    end->client = client;
    uv_tcp_init(&loop_, &end->tcp);
    end->tcp.data = end;
    return end;
  }

  static uv_stream_t* stream(End& end) { return reinterpret_cast<uv_stream_t*>(&end.tcp); }

  static void start_reading(End& end) {
    uv_read_start(
        stream(end),
        [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
          auto& bytes = static_cast<End*>(handle->data)->floor->buffer_;
          *buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
        },
        [](uv_stream_t* from, ssize_t size, const uv_buf_t* buffer) {
          auto* end = static_cast<End*>(from->data);
          if (size != 0) end->floor->on_read(*end, size, buffer->base);
        });
  }

  void on_connection() {
    End* client = make(true);
    uv_accept(reinterpret_cast<uv_stream_t*>(&accept_), stream(*client));
    End* upstream;
    if (idle_.empty()) {
      upstream = make(false);
      uv_tcp_open(&upstream->tcp, ports_.connect_next());
      start_reading(*upstream);
    } else {
      upstream = idle_.back();
      idle_.pop_back();
    }
    client->peer = upstream;
    upstream->peer = client;
    start_reading(*client);
  }

  void on_read(End& from, ssize_t size, char* bytes) {
    if (from.dead) return;
    if (size < 0 || from.peer == nullptr) {
      end_of(from);
      return;
    }
    End& to = *from.peer;
    uv_buf_t buffer = uv_buf_init(bytes, static_cast<unsigned>(size));
    const int sent = std::max(0, uv_try_write(stream(to), &buffer, 1));
    if (sent < size) {
      auto* write = new Write{.request = {}, .to = &to, .bytes = std::vector<char>(bytes + sent, bytes + size)};
      write->request.data = write;
      buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
      to.write_waits = true;
      uv_read_stop(stream(from));
      uv_write(&write->request, stream(to), &buffer, 1, [](uv_write_t* request, int status) {
        auto* write = static_cast<Write*>(request->data);
        End& to = *write->to;
        delete write;
        to.write_waits = false;
        if (status == 0 && to.peer != nullptr && !to.peer->dead) start_reading(*to.peer);
      });
      return;
    }
    if (settings_.close_after_response && to.client && static_cast<size_t>(size) < buffer_.size()) end_of(to);
  }

  void end_of(End& end) {
    End* peer = end.peer;
    destroy(end);
    if (!end.client) {
      idle_.erase(std::remove(idle_.begin(), idle_.end(), &end), idle_.end());
      if (peer != nullptr) destroy(*peer);
    } else if (!peer->write_waits) {
      peer->peer = nullptr;
      idle_.push_back(peer);
    } else {
      destroy(*peer);
    }
  }

  static void destroy(End& end) {
    if (end.dead) return;
    end.dead = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&end.tcp),
             [](uv_handle_t* handle) { delete static_cast<End*>(handle->data); });
  }

  const FloorSettings settings_;
  UpstreamPorts ports_;
  std::vector<char> buffer_;
  uv_loop_t loop_;
  uv_timer_t tick_;
  uv_tcp_t accept_;
  std::vector<End*> idle_;
};

}  // namespace

void run_floor_uv_tcp(const FloorSettings& settings, int listener) { UvTcpFloor(settings, listener).run(); }

}  // namespace weir::bench
