// A very cheap HTTP/1.1 server for the benchmarks: one thread, one edge-triggered epoll instance, responses rendered
// once and written with one call. It trusts its clients and understands only what the benchmarks send.
//
//   /              a body of --size bytes and three header fields
//   /bytes/N...    a body of N bytes
//   /browser/N...  the same with 13 browser-like response fields, about 1 KB
//   /json/N        N bytes of JSON
//   /websocket     switches to an echo of WebSocket messages
//
// With --datagrams it echoes those of UDP instead.
//
// Request bodies need a content-length and are counted, not looked at. The connection is always kept open: whether it
// closes is up to the proxy. `--min-head=N` answers 400 to a request head of fewer bytes, so that a run whose request
// fields were lost on the way is void.

#include <algorithm>
#include <deque>
#include <memory>

#include "common.h"
#include "datagrams.h"
#include "websocket.h"

namespace weir::bench {
namespace {

constexpr size_t kReadSize = 256 << 10;
constexpr uint64_t kRenderWhole = 64 << 10;  // bodies up to this size are stored beside their head
constexpr size_t kBurst = 2 << 20;           // bytes for one connection before the others get their turn

constexpr std::string_view kBrowserFields =
    "cache-control: public, max-age=3600, s-maxage=86400, stale-while-revalidate=600\r\n"
    "content-language: en-US\r\n"
    "content-security-policy: default-src 'self'; img-src 'self' https://images.shop.example data:; script-src 'self' "
    "https://static.shop.example 'nonce-4AEemGb0xJptoIGFP3Nd'; style-src 'self' 'unsafe-inline'; frame-ancestors "
    "'none'\r\n"
    "etag: \"5f2c8a-61b0d4c9e3a80\"\r\n"
    "last-modified: Tue, 07 Oct 2025 09:14:31 GMT\r\n"
    "set-cookie: session=c2hvcC1zZXNzaW9uLTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA; Path=/; Domain=shop.example; "
    "Max-Age=1209600; Secure; HttpOnly; SameSite=Lax\r\n"
    "strict-transport-security: max-age=63072000; includeSubDomains; preload\r\n"
    "vary: Accept-Encoding, Origin, Sec-Fetch-Site\r\n"
    "x-content-type-options: nosniff\r\n"
    "x-request-cost: 17; db=4; render=9\r\n";

// A rendered answer: the head, followed by the body if it is small.
struct Response {
  std::string head;
  uint64_t head_size = 0;
  uint64_t body_size = 0;
};

struct Connection {
  int fd = -1;
  std::string partial;             // the start of a request whose head has not ended yet
  uint64_t request_body_left = 0;  // bytes of a request body still to come
  const Response* response = nullptr;
  uint64_t written = 0;
  bool listener = false;
  bool head_only = false;    // the answer to HEAD
  bool writing = false;      // a write came short: nothing is read until the response is out
  bool input_waits = false;  // the socket was readable meanwhile
  bool queued = false;       // is in ready_
  bool dead = false;
  bool websocket = false;
};

class Origin {
 public:
  Origin(int64_t default_size, int64_t min_head, int64_t port_count)
      : default_path_("/bytes/" + std::to_string(default_size)), min_head_(static_cast<size_t>(min_head)) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    bad_request_.head = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    bad_request_.head_size = bad_request_.head.size();
    std::string ports;
    for (int64_t i = 0; i < port_count; ++i) {
      uint16_t port = 0;
      const int fd = listen_loopback(port);
      listeners_.push_back(std::make_unique<Connection>());
      listeners_.back()->fd = fd;
      listeners_.back()->listener = true;
      epoll_event event{.events = EPOLLIN, .data = {.ptr = listeners_.back().get()}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
      ports += (i == 0 ? "" : ",") + std::to_string(port);
    }
    std::printf("{\"ports\":[%s]}\n", ports.c_str());
    std::fflush(stdout);
  }

  void run() {
    std::vector<epoll_event> events(512);
    while (true) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), ready_.empty() ? -1 : 0);
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[i].data.ptr);
        if (connection->listener) {
          accept_all(connection->fd);
        } else if (!connection->dead) {
          on_event(*connection, events[i].events);
        }
      }
      for (size_t turns = ready_.size(); turns > 0; --turns) {
        Connection* connection = ready_.front();
        ready_.pop_front();
        connection->queued = false;
        if (!connection->dead) on_event(*connection, EPOLLOUT);
      }
      if (ready_.empty()) {
        for (Connection* connection : dead_) delete connection;
        dead_.clear();
      }
    }
  }

 private:
  void on_event(Connection& connection, uint32_t events) {
    constexpr uint32_t kInput = EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP;
    const bool hung_up = (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
    if (!connection.writing) {
      if ((events & kInput) != 0) read_all(connection, hung_up);
      return;
    }
    if ((events & kInput) != 0) connection.input_waits = true;
    if (!write_response(connection)) return;
    if (!connection.partial.empty()) {
      joined_.swap(connection.partial);
      connection.partial.clear();
      if (!answer(connection, joined_)) return;
    }
    if (connection.input_waits) read_all(connection, true);
  }

  void accept_all(int listener) {
    while (true) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      auto* connection = new Connection;
      connection->fd = fd;
      epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = connection}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
  }

  void destroy(Connection& connection) {
    if (connection.dead) return;
    connection.dead = true;
    close(connection.fd);
    dead_.push_back(&connection);
  }

  // Reads until the socket is empty or a response does not fit. Edge-triggered: a read that came back short emptied the
  // socket, unless the peer has hung up.
  void read_all(Connection& connection, bool hung_up) {
    connection.input_waits = false;
    while (true) {
      const ssize_t size = read(connection.fd, input_.data(), input_.size());
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (size <= 0) {
        destroy(connection);
        return;
      }
      std::string_view data(input_.data(), static_cast<size_t>(size));
      if (!connection.partial.empty()) {
        connection.partial.append(data);
        joined_.swap(connection.partial);
        connection.partial.clear();
        data = joined_;
      }
      if (!answer(connection, data)) {
        connection.input_waits = true;
        return;
      }
      if (static_cast<size_t>(size) < input_.size() && !hung_up) return;
    }
  }

  // Answers every whole request in `data`. False when the connection is gone or waits for room to write.
  bool answer(Connection& connection, std::string_view data) {
    while (!data.empty()) {
      if (connection.websocket) return echo(connection, data);
      if (connection.request_body_left > 0) {
        const uint64_t skip = std::min<uint64_t>(connection.request_body_left, data.size());
        connection.request_body_left -= skip;
        data.remove_prefix(skip);
        if (connection.request_body_left == 0 && !write_response(connection)) {
          connection.partial.assign(data);
          return false;
        }
        continue;
      }
      const void* end = memmem(data.data(), data.size(), "\r\n\r\n", 4);
      if (end == nullptr) {
        connection.partial.assign(data);
        return true;
      }
      const std::string_view head =
          data.substr(0, static_cast<size_t>(static_cast<const char*>(end) - data.data()) + 4);
      data.remove_prefix(head.size());
      pick_response(connection, head);
      if (connection.request_body_left == 0 && !write_response(connection)) {
        connection.partial.assign(data);
        return false;
      }
    }
    return true;
  }

  // Small answers to a client that waits for them: there is room for them.
  bool echo(Connection& connection, std::string_view data) {
    answers_.clear();
    connection.partial.assign(data.substr(websocket::echo(data, answers_)));
    if (send(connection.fd, answers_.data(), answers_.size(), 0) == static_cast<ssize_t>(answers_.size())) return true;
    destroy(connection);
    return false;
  }

  void pick_response(Connection& connection, std::string_view head) {
    const size_t method_end = head.find(' ');
    const size_t path_end = head.find(' ', method_end + 1);
    std::string_view path = head.substr(method_end + 1, path_end - method_end - 1);
    connection.head_only = head[0] == 'H';
    if (head[0] == 'P') connection.request_body_left = content_length(head);
    if (head.size() < min_head_) {
      connection.response = &bad_request_;
    } else if (path == "/websocket") {
      connection.response = &switching_;
      connection.websocket = true;
    } else if (path.starts_with("/json/")) {
      connection.response = &json(path);
    } else {
      if (!path.starts_with("/bytes/") && !path.starts_with("/browser/")) path = default_path_;
      connection.response = &rendered(path);
    }
    connection.written = 0;
  }

  static uint64_t content_length(std::string_view head) {
    constexpr std::string_view kName = "content-length:";
    for (size_t line = head.find('\n'); line != std::string_view::npos; line = head.find('\n', line + 1)) {
      const std::string_view field = head.substr(line + 1, kName.size());
      if (field.size() == kName.size() && strncasecmp(field.data(), kName.data(), kName.size()) == 0) {
        return std::strtoull(head.data() + line + 1 + kName.size(), nullptr, 10);
      }
    }
    return 0;
  }

  const Response& json(std::string_view path) {
    const uint64_t size = std::strtoull(path.data() + 6, nullptr, 10);
    Response& response = json_[size];
    if (response.head.empty()) {
      response.body_size = size;
      response.head =
          "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(size) + "\r\n\r\n";
      response.head_size = response.head.size();
      response.head += json_body(size);
    }
    return response;
  }

  const Response& rendered(std::string_view path) {
    const bool browser = path.starts_with("/browser/");
    const uint64_t size = std::strtoull(path.data() + (browser ? 9 : 7), nullptr, 10);
    Response& response = responses_[browser][size];
    if (response.head.empty()) {
      response.body_size = size;
      response.head = "HTTP/1.1 200 OK\r\ndate: Sat, 11 Oct 2025 10:00:00 GMT\r\ncontent-type: text/plain\r\n";
      if (browser) response.head += kBrowserFields;
      response.head += "content-length: " + std::to_string(size) + "\r\n\r\n";
      response.head_size = response.head.size();
      if (size <= kRenderWhole) response.head.append(pattern_.at(0), size);
    }
    return response;
  }

  // Writes as much as fits. True when the response is done.
  bool write_response(Connection& connection) {
    const Response& response = *connection.response;
    const uint64_t total = response.head_size + (connection.head_only ? 0 : response.body_size);
    connection.writing = true;
    size_t burst = 0;
    while (connection.written < total) {
      const char* from;
      uint64_t size;
      if (connection.written < response.head.size()) {
        from = response.head.data() + connection.written;
        size = std::min<uint64_t>(response.head.size(), total) - connection.written;
      } else {
        const uint64_t offset = connection.written - response.head_size;
        from = pattern_.at(offset);
        size = std::min<uint64_t>(response.body_size - offset, BodyPattern::kWindow);
      }
      const ssize_t sent = send(connection.fd, from, size, connection.written + size < total ? MSG_MORE : 0);
      if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        destroy(connection);
        return false;
      }
      connection.written += static_cast<uint64_t>(sent);
      burst += static_cast<size_t>(sent);
      if (connection.written < total && burst >= kBurst) {
        if (!connection.queued) ready_.push_back(&connection);
        connection.queued = true;
        return false;
      }
    }
    connection.writing = false;
    return true;
  }

  std::string default_path_;
  size_t min_head_;
  int epoll_ = -1;
  Response bad_request_;
  Response switching_{std::string(websocket::kSwitching), websocket::kSwitching.size(), 0};
  BodyPattern pattern_;
  std::map<uint64_t, Response> responses_[2];
  std::map<uint64_t, Response> json_;
  std::string answers_;
  std::vector<std::unique_ptr<Connection>> listeners_;
  std::vector<char> input_ = std::vector<char>(kReadSize);
  std::string joined_;
  std::deque<Connection*> ready_;
  std::vector<Connection*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::prepare_process();
  weir::bench::Options options(argc, argv);
  const int64_t size = options.number("size", 13);
  const int64_t min_head = options.number("min-head", 0);
  const int64_t ports = options.number("ports", 1);
  const bool datagrams = options.flag("datagrams");
  options.finish();
  if (datagrams) weir::bench::echo_datagrams(ports);
  weir::bench::Origin(size, min_head, ports).run();
}
