// The floor over edge-triggered epoll: one EPOLL_CTL_ADD per connection, never modified, removed by close(). With
// `embed_uv` a libuv loop lives inside this one: its backend descriptor is one more descriptor here, its next timer
// bounds our wait, and it runs only when it has something to do.
#include <uv.h>

#include <algorithm>
#include <string>

#include "floor.h"

namespace weir::bench {
namespace {

struct End {
  int fd = -1;
  End* peer = nullptr;
  bool client = false;
  bool readable = false;
  bool hung_up = false;  // the peer's FIN was seen: read on until 0
  bool dead = false;
  std::string pending;  // accepted for this end, not yet written
  size_t pending_at = 0;
};

class EpollFloor {
 public:
  EpollFloor(const FloorSettings& settings, int listener, bool embed_uv)
      : settings_(settings), ports_(settings), embed_uv_(embed_uv), buffer_(settings.buffer_size) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    listener_.fd = listener;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &listener_}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event);
    for (size_t i = 0; i < settings.pool; ++i) idle_.push_back(add(ports_.connect_next(), false));
    if (embed_uv_) {
      uv_loop_init(&uv_);
      uv_timer_init(&uv_, &tick_);
      uv_timer_start(
          &tick_, [](uv_timer_t*) {}, 1000, 1000);
      uv_async_init(&uv_, &wake_up_, nullptr);
      uv_run(&uv_, UV_RUN_NOWAIT);
      epoll_event backend{.events = EPOLLIN, .data = {.ptr = &uv_}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, uv_backend_fd(&uv_), &backend);
    }
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    while (true) {
      int timeout = 1000;
      if (embed_uv_) {
        uv_update_time(&uv_);  // libuv computes its timeout from the time it last read
        timeout = uv_backend_timeout(&uv_);
      }
      const int count = timeout == 0 ? epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0)
                                     : epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
      bool run_uv = embed_uv_ && (count == 0 || timeout == 0);
      for (int i = 0; i < count; ++i) {
        void* const who = events[i].data.ptr;
        if (who == &listener_) {
          accept_all();
        } else if (who == &uv_) {
          run_uv = true;
        } else {
          on_event(*static_cast<End*>(who), events[i].events);
        }
      }
      if (run_uv) uv_run(&uv_, UV_RUN_NOWAIT);
      for (End* end : dead_) delete end;
      dead_.clear();
    }
  }

 private:
  End* add(int fd, bool client) {
    auto* end = new End;
    end->fd = fd;
    end->client = client;
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = end}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    return end;
  }

  void accept_all() {
    while (true) {
      const int fd = accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      End* client = add(fd, true);
      End* upstream;
      if (idle_.empty()) {
        upstream = add(ports_.connect_next(), false);
      } else {
        // Newest first suits the cache; with many endpoints in turn, so that all of them are used.
        const size_t pick = settings_.upstream_ports.size() > 1 ? turn_++ % idle_.size() : idle_.size() - 1;
        upstream = idle_[pick];
        idle_[pick] = idle_.back();
        idle_.pop_back();
      }
      client->peer = upstream;
      upstream->peer = client;
    }
  }

  void on_event(End& end, uint32_t events) {
    if (end.dead) return;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end.hung_up = end.readable = true;
    if ((events & EPOLLIN) != 0) end.readable = true;
    if (!end.pending.empty() && (events & EPOLLOUT) != 0 && flush(end) && end.peer->readable) pump(*end.peer);
    if (!end.dead && end.readable) pump(end);
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
    while (!from.dead && from.readable && (from.peer == nullptr || from.peer->pending.empty())) {
      const ssize_t size = read(from.fd, buffer_.data(), buffer_.size());
      if (size < 0 && errno == EAGAIN) {
        from.readable = false;
        return;
      }
      if (size <= 0 || from.peer == nullptr) {
        end_of(from);
        return;
      }
      if (static_cast<size_t>(size) < buffer_.size() && !from.hung_up) from.readable = false;
      End& to = *from.peer;
      const ssize_t sent = std::max<ssize_t>(0, write(to.fd, buffer_.data(), static_cast<size_t>(size)));
      if (sent < size) to.pending.assign(buffer_.data() + sent, static_cast<size_t>(size - sent));
      if (settings_.close_after_response && to.client && !from.readable && to.pending.empty()) end_of(to);
    }
  }

  // A client that ends gives its upstream connection back; an upstream connection that ends takes its client with it.
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
    close(end.fd);
    dead_.push_back(&end);
  }

  const FloorSettings settings_;
  UpstreamPorts ports_;
  const bool embed_uv_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  End listener_;
  std::vector<End*> idle_;
  size_t turn_ = 0;
  std::vector<End*> dead_;
  uv_loop_t uv_;
  uv_timer_t tick_;
  uv_async_t wake_up_;
};

}  // namespace

void run_floor_epoll(const FloorSettings& settings, int listener, bool embed_uv) {
  EpollFloor(settings, listener, embed_uv).run();
}

}  // namespace weir::bench
