// A closed-loop HTTP/1.1 client for the benchmarks: each connection sends its next request when the answer to the last
// one has arrived whole. It checks the status, the length and every byte of every body, and never pipelines. Any error
// voids the run: the exit status is 1 and the JSON line on standard output says what went wrong first.
//
//   --port=N --connections=64 --path=/bytes/13     where and what
//   --seconds=S or --requests=N                    how long; requests in flight at the end are finished and counted
//   --browser                                      16 request fields, about 1 KB; 13 response fields are expected
//   --close                                        a new connection per request (connection: close, the proxy closes)
//   --hang-up                                      with --close: the client ends first, for proxies that do not
//                                                  know where an answer ends
//   --proxy-header                                 with --close: each connection begins with one (PROXY v2, IPv4)
//   --targets=FILE                                 a host and a path in each line, asked for in turn
//   --vary                                         requests of many shapes in turn: methods, paths, fields, bodies
//   --gzip                                         accepts gzip, and takes nothing else: paths /json/N
//   --websocket=N                                  one upgrade per connection, then messages of N bytes, echoed
//   --datagrams=N                                  UDP: N bytes at a time, echoed
//   --tls                                          TLS 1.3 with one suite and one group; --resume: each connection but
//                                                  a place's first goes on with a session, or the run is void
//   --idle                                         one request per connection, then hold them until stdin ends
//   --pause-after=N                                N requests of warm-up, then a line on stdout, then wait for a line
//   on
//                                                  stdin; go on over the same connections, report, hold them until
//                                                  stdin ends. Only what follows the pause is reported.

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "common.h"
#include "datagrams.h"
#include "gzip_body.h"
#include "histogram.h"
#include "tls.h"
#include "websocket.h"

namespace weir::bench {
namespace {

constexpr size_t kReadSize = 256 << 10;
constexpr size_t kIdleAtOnce = 64;                // requests in flight while idle connections are opened
constexpr uint64_t kStallNs = 10'000'000'000ULL;  // no progress on any connection for this long voids the run
constexpr std::string_view kBrowserFields =
    "host: shop.example\r\n"
    "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "accept-language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "accept-encoding: gzip, deflate, br, zstd\r\n"
    "referer: https://shop.example/catalogue/shoes?colour=blue&size=42&sort=price&page=3\r\n"
    "cookie: session=c2hvcC1zZXNzaW9uLTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA; consent=analytics%3D0%26ads%3D0; "
    "basket=5f2c8a61b0d4c9e3a80f; theme=dark; seen=1728641371; ab=checkout.b%2Csearch.a%2Chome.c; "
    "_track=GS1.1.1728641371.12.1.1728641990.0.0.0\r\n"
    "upgrade-insecure-requests: 1\r\n"
    "sec-fetch-dest: document\r\n"
    "sec-fetch-mode: navigate\r\n"
    "sec-fetch-site: same-origin\r\n"
    "sec-fetch-user: ?1\r\n"
    "priority: u=0, i\r\n"
    "dnt: 1\r\n"
    "if-modified-since: Mon, 06 Oct 2025 08:00:00 GMT\r\n"
    "x-correlation-id: 8f14e45f-ceea-467f-9d2a-1b6c7e3f5a90\r\n";
constexpr int kBrowserResponseFields = 13;

// From 192.0.2.1:1234 to 192.0.2.2:80.
using namespace std::string_view_literals;
constexpr std::string_view kProxyHeader =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x04\xd2\0\x50"sv;
static_assert(kProxyHeader.size() == 28);

struct Request {
  std::string bytes;
  uint64_t body_size = 0;  // of the expected response
  bool head_method = false;
};

struct Connection {
  int fd = -1;
  const Request* request = nullptr;
  size_t sent = 0;
  uint64_t started_ns = 0;
  std::string partial_head;
  bool in_body = false;
  bool done = false;  // answered; with --close, waiting for the end of the connection
  bool upgraded = false;
  uint64_t body_size = 0;
  uint64_t body_seen = 0;
  SSL* tls = nullptr;
  TlsSession session;
  std::unique_ptr<GzipBody> gzip;
};

struct Settings {
  uint16_t port = 0;
  size_t connections = 64;
  std::string path;
  std::string targets;
  double seconds = 0;
  uint64_t requests = 0;
  uint64_t pause_after = 0;
  bool browser = false;
  bool close = false;
  bool hang_up = false;
  bool proxy_header = false;
  bool vary = false;
  bool idle = false;
  bool gzip = false;
  bool tls = false;
  bool resume = false;
  size_t websocket = 0;
};

class Load {
 public:
  explicit Load(const Settings& settings) : settings_(settings), connections_(settings.connections) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (settings_.tls) tls_.emplace(settings_.resume);
    if (settings_.vary) {
      make_varied_requests();
    } else if (!settings_.targets.empty()) {
      read_targets();
    } else if (settings_.websocket > 0) {
      const std::string_view payload(pattern_.at(0), settings_.websocket);
      requests_.push_back(make_request("GET", "shop.example", "/websocket", std::string(websocket::kRequestFields), 0));
      message_.bytes = websocket::client_frame(payload);
      echoed_ = websocket::server_frame(payload);
    } else {
      requests_.push_back(
          make_request("GET", "shop.example", settings_.path, settings_.gzip ? "accept-encoding: gzip\r\n" : "", 0));
      if (settings_.gzip) json_ = json_body(requests_[0].body_size);
    }
  }

  int run() {
    if (settings_.pause_after > 0) {
      run_until(settings_.pause_after, 0);
      std::printf("{\"paused\":%llu,\"errors\":%d,\"error\":\"%s\"}\n", static_cast<unsigned long long>(completed_),
                  error_.empty() ? 0 : 1, error_.c_str());
      std::fflush(stdout);
      char byte = 0;
      while (byte != '\n' && read(STDIN_FILENO, &byte, 1) > 0) {
      }
      completed_ = bytes_ = opened_ = 0;
      latencies_ = {};
    }
    run_until(settings_.idle ? connections_.size() : settings_.requests, settings_.seconds);
    report();
    if (settings_.idle || settings_.pause_after > 0) {
      char byte;
      while (read(STDIN_FILENO, &byte, 1) > 0) {
      }
    }
    return error_.empty() ? 0 : 1;
  }

 private:
  Request make_request(const std::string& method, const std::string& host, const std::string& path,
                       const std::string& fields, uint64_t request_body_size) const {
    Request request;
    request.head_method = method == "HEAD";
    std::string sent_path = path;
    if (settings_.browser && path.starts_with("/bytes/")) sent_path = "/browser/" + path.substr(7);
    const size_t digits = sent_path.find('/', 1) + 1;
    request.body_size = std::strtoull(sent_path.c_str() + digits, nullptr, 10);
    // With --close a connection begins with every request.
    if (settings_.proxy_header) request.bytes = std::string(kProxyHeader);
    request.bytes += method + " " + sent_path + " HTTP/1.1\r\n";
    if (settings_.browser) {
      request.bytes += kBrowserFields;
    } else {
      request.bytes += "host: " + host + "\r\nuser-agent: load\r\naccept: */*\r\n";
    }
    request.bytes += fields;
    if (settings_.close) request.bytes += "connection: close\r\n";
    const bool has_body = method == "POST" || method == "PUT";
    if (has_body) request.bytes += "content-length: " + std::to_string(request_body_size) + "\r\n";
    request.bytes += "\r\n";
    if (has_body) request.bytes.append(pattern_.at(0), request_body_size);
    return request;
  }

  void read_targets() {
    std::ifstream file(settings_.targets);
    std::string host, path;
    while (file >> host >> path) requests_.push_back(make_request("GET", host, path, "", 0));
    if (requests_.empty()) {
      std::fprintf(stderr, "no targets in %s\n", settings_.targets.c_str());
      std::exit(2);
    }
  }

  // 251 different requests, sent in turn; the same ones in every run.
  void make_varied_requests() {
    constexpr std::array<const char*, 6> kMethods = {"GET", "GET", "POST", "GET", "HEAD", "PUT"};
    constexpr std::array<uint64_t, 7> kResponseSizes = {13, 0, 200, 1'000, 4'000, 12'000, 30'000};
    constexpr std::array<uint64_t, 5> kRequestSizes = {0, 20, 500, 3'000, 14'000};
    for (size_t i = 0; i < 251; ++i) {
      std::string path = (i % 5 == 0 ? "/browser/" : "/bytes/") + std::to_string(kResponseSizes[i % 7]);
      path += "/item-" + std::string(i % 90, 'a' + static_cast<char>(i % 26));
      if (i % 3 == 0) path += "?q=" + std::to_string(i * 7919) + "&page=" + std::to_string(i);
      std::string fields;
      for (size_t field = 0; field < i % 17; ++field) {
        fields += "x-field-" + std::to_string(field) + ": " + std::string((i * 13 + field * 29) % 120, 'v') + "\r\n";
      }
      if (i % 4 == 0) fields += "cookie: session=" + std::string(i, 'c') + "; theme=dark\r\n";
      requests_.push_back(make_request(kMethods[i % 6], "shop.example", path, fields, kRequestSizes[i % 5]));
    }
  }

  // Starts `requests` requests, or as many as fit into `seconds`, and waits for the last answer.
  void run_until(uint64_t requests, double seconds) {
    begin_ns_ = now_ = now_ns();
    start_limit_ = requests > 0 ? started_ + requests : UINT64_MAX;
    end_ns_ = requests > 0 ? UINT64_MAX : begin_ns_ + static_cast<uint64_t>(seconds * 1e9);
    const size_t at_once = settings_.idle ? std::min(kIdleAtOnce, connections_.size()) : connections_.size();
    for (size_t i = 0; i < at_once && may_start(); ++i) start(connections_[i]);
    next_idle_ = at_once;
    std::vector<epoll_event> events(512);
    uint64_t progress_ns = begin_ns_;
    while (active_ > 0 && error_.empty()) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
      now_ = now_ns();
      if (count > 0) progress_ns = now_;
      if (now_ - progress_ns > kStallNs) fail(std::to_string(active_) + " requests unanswered for 10 s");
      for (int i = 0; i < count && error_.empty(); ++i) {
        on_event(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
      }
    }
    finish_ns_ = now_ns();
  }

  bool may_start() const { return started_ < start_limit_ && now_ < end_ns_; }

  void fail(const std::string& what) {
    if (!error_.empty()) return;
    error_ = what;
    for (char& c : error_) {
      if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ') c = '?';  // it is printed as a JSON string
    }
  }

  // Begins the next request, on a new connection if there is none.
  void start(Connection& connection) {
    connection.request = connection.upgraded ? &message_ : &requests_[next_request_];
    if (++next_request_ == requests_.size()) next_request_ = 0;
    ++started_;
    ++active_;
    connection.sent = 0;
    connection.in_body = connection.done = false;
    connection.body_seen = 0;
    connection.started_ns = now_;
    if (connection.fd < 0 && !open(connection)) return;
    send_request(connection);
  }

  bool open(Connection& connection) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) {
      fail(std::string("socket: ") + std::strerror(errno));
      return false;
    }
    // With one request there is nothing to be delayed by, unless a handshake comes before it: browsers and curl do so,
    // too.
    if (!settings_.close || settings_.tls) set_no_delay(connection.fd);
    const sockaddr_in address = loopback(settings_.port);
    if (connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
      fail(std::string("connect: ") + std::strerror(errno));
      return false;
    }
    if (tls_) connection.tls = tls_->open(connection.fd, connection.session);
    ++opened_;
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &connection}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    return true;
  }

  void send_request(Connection& connection) {
    const std::string& bytes = connection.request->bytes;
    while (connection.sent < bytes.size()) {
      const char* const at = bytes.data() + connection.sent;
      const size_t left = bytes.size() - connection.sent;
      const ssize_t sent =
          connection.tls != nullptr ? tls_write(connection.tls, at, left) : send(connection.fd, at, left, 0);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) fail(std::string("send: ") + std::strerror(errno));
        return;
      }
      connection.sent += static_cast<size_t>(sent);
    }
  }

  void on_event(Connection& connection, uint32_t events) {
    if (connection.fd < 0) return;
    // A handshake goes on with what the server has said.
    if (((events & EPOLLOUT) != 0 || connection.tls != nullptr) && connection.request != nullptr &&
        connection.sent < connection.request->bytes.size()) {
      send_request(connection);
    }
    const bool hung_up = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (!hung_up && (events & EPOLLIN) == 0) return;
    while (error_.empty()) {
      const ssize_t size = connection.tls != nullptr ? tls_read(connection.tls, input_.data(), input_.size())
                                                     : read(connection.fd, input_.data(), input_.size());
      if (size < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        fail(std::string("read: ") + std::strerror(errno));
        return;
      }
      if (size == 0) {
        on_end(connection);
        return;
      }
      on_data(connection, std::string_view(input_.data(), static_cast<size_t>(size)));
      if (static_cast<size_t>(size) < input_.size() && !hung_up && connection.tls == nullptr) return;
      if (connection.fd < 0) return;
    }
  }

  void on_end(Connection& connection) {
    SSL_free(connection.tls);
    connection.tls = nullptr;
    close(connection.fd);
    connection.fd = -1;
    if (connection.request == nullptr) {  // an idle connection: its end is the proxy's right, and counted
      ++closed_idle_;
      if (settings_.idle) fail("an idle connection was closed");
      return;
    }
    if (!connection.done) {
      fail("closed before the answer was whole");
      return;
    }
    finish_request(connection);
  }

  void on_data(Connection& connection, std::string_view data) {
    if (connection.request == nullptr || connection.done) {
      fail("bytes after the answer");
      return;
    }
    if (connection.tls != nullptr && tls_->refused(connection.tls)) {
      fail("a session was not resumed");
      return;
    }
    if (connection.tls != nullptr && !TlsClient::common_suite(connection.tls)) {
      fail("a suite other than TLS_AES_128_GCM_SHA256");
      return;
    }
    if (connection.upgraded) {
      on_message(connection, data);
      return;
    }
    if (!connection.in_body) {
      if (!connection.partial_head.empty()) {
        connection.partial_head.append(data);
        joined_.swap(connection.partial_head);
        connection.partial_head.clear();
        data = joined_;
      }
      const void* end = memmem(data.data(), data.size(), "\r\n\r\n", 4);
      if (end == nullptr) {
        connection.partial_head.assign(data);
        return;
      }
      const auto head_size = static_cast<size_t>(static_cast<const char*>(end) - data.data()) + 4;
      if (!check_head(connection, data.substr(0, head_size))) return;
      data.remove_prefix(head_size);
      if (settings_.websocket > 0) {
        connection.upgraded = true;
        connection.request = &message_;
        connection.sent = 0;
        send_request(connection);
        if (!data.empty()) fail("bytes behind the switch of protocols");
        return;
      }
      connection.in_body = true;
    }
    if (settings_.gzip) {
      bytes_ += data.size();
      if (!connection.gzip->take(data, json_) || !data.empty()) {
        fail("a packed body is not what it should be");
      } else if (connection.gzip->done()) {
        finish_request(connection);
      }
      return;
    }
    if (data.size() > connection.body_size - connection.body_seen) {
      fail("the body is longer than its content-length");
      return;
    }
    bytes_ += data.size();
    while (!data.empty()) {
      const size_t size = std::min(data.size(), BodyPattern::kWindow);
      if (std::memcmp(data.data(), pattern_.at(connection.body_seen), size) != 0) {
        fail("wrong byte in a body, after byte " + std::to_string(connection.body_seen));
        return;
      }
      connection.body_seen += size;
      data.remove_prefix(size);
    }
    if (connection.body_seen < connection.body_size) return;
    connection.done = true;
    if (!settings_.close)
      finish_request(connection);
    else if (settings_.hang_up)
      shutdown(connection.fd, SHUT_WR);
  }

  void on_message(Connection& connection, std::string_view data) {
    bytes_ += data.size();
    if (echoed_.compare(connection.body_seen, data.size(), data) != 0) {
      fail("a wrong message");
      return;
    }
    connection.body_seen += data.size();
    if (connection.body_seen == echoed_.size()) finish_request(connection);
  }

  // Of a packed body: its length, or that it comes in chunks.
  bool check_packed(Connection& connection, std::string_view head) {
    std::string text(head);
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (text.find("\r\ncontent-encoding: gzip\r\n") == std::string::npos) {
      fail("a body that is not packed");
      return false;
    }
    constexpr std::string_view kLength = "\r\ncontent-length: ";
    const size_t length = text.find(kLength);
    const bool chunked = text.find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos;
    if (!chunked && length == std::string::npos) {
      fail("a packed body without an end");
      return false;
    }
    if (connection.gzip == nullptr) connection.gzip = std::make_unique<GzipBody>();
    connection.gzip->start(chunked, chunked ? 0 : std::strtoull(text.c_str() + length + kLength.size(), nullptr, 10));
    return true;
  }

  bool check_head(Connection& connection, std::string_view head) {
    if (!head.starts_with(settings_.websocket > 0 ? "HTTP/1.1 101 " : "HTTP/1.1 200 ")) {
      fail("unexpected answer: " + std::string(head.substr(0, head.find('\r'))));
      return false;
    }
    if (settings_.websocket > 0) return true;
    if (settings_.gzip) return check_packed(connection, head);
    constexpr std::string_view kName = "content-length:";
    bool found = false;
    int fields = 0;
    const char* const end = head.data() + head.size() - 2;
    const char* line = static_cast<const char*>(std::memchr(head.data(), '\n', head.size())) + 1;
    while (line < end) {
      if ((*line | 0x20) == 'c' && strncasecmp(line, kName.data(), kName.size()) == 0) {
        connection.body_size = std::strtoull(line + kName.size(), nullptr, 10);
        found = true;
      }
      ++fields;
      line = static_cast<const char*>(std::memchr(line, '\n', static_cast<size_t>(end - line) + 2)) + 1;
    }
    if (!found) {
      fail("an answer without content-length");
    } else if (connection.body_size != connection.request->body_size) {
      fail("content-length " + std::to_string(connection.body_size) + ", expected " +
           std::to_string(connection.request->body_size));
    } else if (settings_.browser && fields < kBrowserResponseFields) {
      fail("only " + std::to_string(fields) + " response fields");
    }
    if (connection.request->head_method) connection.body_size = 0;
    return error_.empty();
  }

  void finish_request(Connection& connection) {
    ++completed_;
    --active_;
    latencies_.add(now_ - connection.started_ns);
    connection.request = nullptr;
    if (may_start()) start(settings_.idle ? connections_[next_idle_++] : connection);
  }

  void report() const {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    const double seconds = static_cast<double>(finish_ns_ - begin_ns_) / 1e9;
    std::printf(
        "{\"requests\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"rps\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
        "\"p999_us\":%.1f,\"max_us\":%.1f,\"opened\":%llu,\"closed_idle\":%llu,\"cpu_seconds\":%.4f,"
        "\"errors\":%d,\"error\":\"%s\"}\n",
        static_cast<unsigned long long>(completed_), static_cast<unsigned long long>(bytes_), seconds,
        static_cast<double>(completed_) / seconds, latencies_.percentile_us(0.5), latencies_.percentile_us(0.99),
        latencies_.percentile_us(0.999), latencies_.max_us(), static_cast<unsigned long long>(opened_),
        static_cast<unsigned long long>(closed_idle_), cpu, error_.empty() ? 0 : 1, error_.c_str());
    std::fflush(stdout);
  }

  const Settings settings_;
  int epoll_ = -1;
  BodyPattern pattern_;
  std::vector<Request> requests_;
  Request message_;     // a WebSocket message, and
  std::string echoed_;  // what comes back
  std::string json_;    // what is in packed bodies
  size_t next_request_ = 0;
  std::optional<TlsClient> tls_;
  std::vector<Connection> connections_;
  std::vector<char> input_ = std::vector<char>(kReadSize);
  std::string joined_;
  Histogram latencies_;
  uint64_t begin_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t finish_ns_ = 0;
  uint64_t start_limit_ = 0;  // of started_
  size_t next_idle_ = 0;
  uint64_t now_ = 0;  // read once per turn: latencies include the wait behind this program's other connections
  uint64_t started_ = 0;
  uint64_t active_ = 0;
  uint64_t completed_ = 0;
  uint64_t bytes_ = 0;
  uint64_t opened_ = 0;
  uint64_t closed_idle_ = 0;
  std::string error_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::prepare_process();
  weir::bench::Options options(argc, argv);
  weir::bench::Settings settings;
  settings.port = static_cast<uint16_t>(options.number("port", 0));
  settings.connections = static_cast<size_t>(options.number("connections", 64));
  settings.path = options.text("path", "/bytes/13");
  settings.targets = options.text("targets", "");
  settings.seconds = options.real("seconds", 0);
  settings.requests = static_cast<uint64_t>(options.number("requests", 0));
  settings.pause_after = static_cast<uint64_t>(options.number("pause-after", 0));
  settings.browser = options.flag("browser");
  settings.close = options.flag("close");
  settings.hang_up = options.flag("hang-up");
  settings.proxy_header = options.flag("proxy-header");
  settings.vary = options.flag("vary");
  settings.idle = options.flag("idle");
  settings.gzip = options.flag("gzip");
  settings.tls = options.flag("tls");
  settings.resume = options.flag("resume");
  settings.websocket = static_cast<size_t>(options.number("websocket", 0));
  const auto datagrams = static_cast<size_t>(options.number("datagrams", 0));
  options.finish();
  if (datagrams != 0 && settings.port != 0 && (settings.seconds > 0 || settings.requests != 0))
    return weir::bench::load_datagrams(settings.port, settings.connections, datagrams, settings.seconds,
                                       settings.requests);
  if (settings.port == 0 || (settings.seconds <= 0 && settings.requests == 0 && !settings.idle) ||
      (settings.proxy_header && !settings.close) || settings.websocket > weir::bench::websocket::kLargest) {
    std::fprintf(stderr,
                 "usage: load --port=N (--seconds=S | --requests=N | --idle) [--connections=N] [--path=/bytes/N]"
                 " [--browser] [--close [--hang-up] [--proxy-header]] [--vary | --targets=FILE | --gzip | "
                 "--websocket=N | --datagrams=N]"
                 " [--tls [--resume]] [--pause-after=N]\n");
    return 2;
  }
  weir::bench::Load load(settings);
  return load.run();
}
