// The floor over uv_poll_t with our own read() and write(): READABLE armed once per connection, WRITABLE only while
// something waits to be written.
#include <uv.h>

#include <algorithm>
#include <string>

#include "floor.h"

namespace weir::bench {
namespace {

class UvPollFloor;

struct End {
  uv_poll_t poll;
  UvPollFloor* floor = nullptr;
  int fd = -1;
  End* peer = nullptr;
  bool client = false;
  bool dead = false;
  std::string pending;
  size_t pending_at = 0;
};

class UvPollFloor {
 public:
  UvPollFloor(const FloorSettings& settings, int listener)
      : settings_(settings), ports_(settings), listener_(listener), buffer_(settings.buffer_size) {
    uv_loop_init(&loop_);
    uv_timer_init(&loop_, &tick_);
    uv_timer_start(
        &tick_, [](uv_timer_t*) {}, 1000, 1000);
    for (size_t i = 0; i < settings.pool; ++i) idle_.push_back(add(ports_.connect_next(), false));
    uv_poll_init(&loop_, &accept_, listener);
    accept_.data = this;
    uv_poll_start(&accept_, UV_READABLE,
                  [](uv_poll_t* poll, int, int) { static_cast<UvPollFloor*>(poll->data)->accept_all(); });
  }

  [[noreturn]] void run() {
    while (true) uv_run(&loop_, UV_RUN_DEFAULT);
  }

 private:
  End* add(int fd, bool client) {
    auto* end = new End;
    end->floor = this;
    end->fd = fd;
    end->client = client;
    uv_poll_init(&loop_, &end->poll, fd);
    end->poll.data = end;
    arm(*end, UV_READABLE);
    return end;
  }

  static void arm(End& end, int events) {
    uv_poll_start(&end.poll, events, [](uv_poll_t* poll, int status, int ready) {
      auto* end = static_cast<End*>(poll->data);
      end->floor->on_event(*end, status < 0 ? UV_READABLE : ready);
    });
  }

  void accept_all() {
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      End* client = add(fd, true);
      End* upstream;
      if (idle_.empty()) {
        upstream = add(ports_.connect_next(), false);
      } else {
        upstream = idle_.back();
        idle_.pop_back();
      }
      client->peer = upstream;
      upstream->peer = client;
    }
  }

  void on_event(End& end, int ready) {
    if (end.dead) return;
    if ((ready & UV_WRITABLE) != 0 && flush(end)) {
      arm(end, UV_READABLE);
      if (end.peer != nullptr) arm(*end.peer, UV_READABLE);
    }
    if (!end.dead && (ready & UV_READABLE) != 0) pump(end);
  }

  bool flush(End& end) {
    while (end.pending_at < end.pending.size()) {
      const ssize_t size = write(end.fd, end.pending.data() + end.pending_at, end.pending.size() - end.pending_at);
      if (size < 0) return false;
      end.pending_at += static_cast<size_t>(size);
    }
    end.pending.clear();
    end.pending_at = 0;
    return true;
  }

  void pump(End& from) {
    while (!from.dead) {
      const ssize_t size = read(from.fd, buffer_.data(), buffer_.size());
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0 || from.peer == nullptr) {
        end_of(from);
        return;
      }
      End& to = *from.peer;
      const ssize_t sent = std::max<ssize_t>(0, write(to.fd, buffer_.data(), static_cast<size_t>(size)));
      const bool drained = static_cast<size_t>(size) < buffer_.size();
      if (sent < size) {
        to.pending.assign(buffer_.data() + sent, static_cast<size_t>(size - sent));
        arm(to, UV_WRITABLE);
        uv_poll_stop(&from.poll);
        return;
      }
      if (settings_.close_after_response && to.client && drained) end_of(to);
      if (drained) return;
    }
  }

  void end_of(End& end) {
    End* peer = end.peer;
    destroy(end);
    if (!end.client) {
      idle_.erase(std::remove(idle_.begin(), idle_.end(), &end), idle_.end());
      if (peer != nullptr) destroy(*peer);
    } else if (peer->pending.empty()) {
      peer->peer = nullptr;
      idle_.push_back(peer);
    } else {
      destroy(*peer);
    }
  }

  void destroy(End& end) {
    end.dead = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&end.poll),
             [](uv_handle_t* handle) { delete static_cast<End*>(handle->data); });
    close(end.fd);
  }

  const FloorSettings settings_;
  UpstreamPorts ports_;
  const int listener_;
  std::vector<char> buffer_;
  uv_loop_t loop_;
  uv_timer_t tick_;
  uv_poll_t accept_;
  std::vector<End*> idle_;
};

}  // namespace

void run_floor_uv_poll(const FloorSettings& settings, int listener) { UvPollFloor(settings, listener).run(); }

}  // namespace weir::bench
