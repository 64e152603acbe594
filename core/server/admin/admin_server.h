// The admin interface: a small HTTP/1 server on main's lane with a table of endpoints. It reads and answers one request
// at a time per connection and needs none of the proxy's machinery, so that it answers when that is in trouble.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/event/background.h"
#include "core/event/lane.h"
#include "core/http/h1/message.h"
#include "core/net/socket.h"
#include "core/server/admin/message.h"
#include "core/stats/store.h"
#include "core/stream/access_logger.h"

namespace weir::http {
class HeaderMap;
}

namespace weir::admin {

class AdminConnection;

enum class Access : uint8_t {
  kRead,          // GET and HEAD
  kChange,        // POST only: it changes something
  kReadOrChange,  // both; the handler looks
};

struct ParameterHelp {
  std::string name;  // "filter=REGEX"
  std::string help;
};

struct HandlerOptions {
  Access access = Access::kRead;
  std::string help = {};
  std::vector<ParameterHelp> parameters = {};
  // What ?format= may be; the first is the default. /help mentions it.
  std::vector<std::string_view> formats = {"text", "json"};
  bool any_host = false;  // tells nothing worth protecting: health checkers may use any name for the host
};

using Handler = std::function<void(const AdminRequest&, AdminResponse&)>;

struct AdminOptions {
  // Names for this host beside localhost and addresses, in lower case.
  std::vector<std::string> allowed_hosts = {};
  // Admin.allow_paths; empty: every endpoint.
  std::function<bool(std::string_view path)> allow_path = nullptr;
  std::vector<std::shared_ptr<const stream::AccessLogger>> access_logs = {};
  // Without progress: no whole request within it, or no byte of an answer taken.
  Duration idle_timeout = 60s;
  uint32_t max_connections = 100;
  uint32_t max_body_bytes = 64 * 1024;
  event::Background* background = nullptr;       // where long work is done; nullptr: at once
  size_t max_waiting_bytes = 256 * 1024 * 1024;  // of answers that clients are slow to take, all together
};

// [main] Destroyed outside of a turn's dispatch and of a handler.
class AdminServer final : public net::AcceptHandler {
 public:
  AdminServer(event::Lane& lane, stats::Store& store, AdminOptions options);
  ~AdminServer();

  // Returns the address bound (port 0 resolved). May be called several times.
  Result<net::Address> listen(const net::Address& address, net::ListenOptions options = {.reuse_port = false});
  // A listening socket that is bound already; owned. It accepts nothing before resume().
  void adopt(int fd);
  void resume();
  // Stops accepting, for good; connections go on.
  void stop_listening();
  // visit(fd) for each listening socket.
  void list_sockets(const std::function<void(int fd)>& visit) const;

  // `path` is matched exactly.
  void add(std::string path, HandlerOptions options, Handler handler);

  struct Endpoint {
    HandlerOptions options;
    Handler handler;
  };
  const std::map<std::string, Endpoint, std::less<>>& endpoints() const { return endpoints_; }
  size_t connections() const { return connections_.size(); }

  void on_accepted(int fd, const net::Address& remote) override;

 private:
  friend class AdminConnection;
  // All checks, then the endpoint. `local_only`: the connection came over a Unix socket.
  void answer(const http::HeaderMap& headers, std::string_view body, bool unix_socket, AdminResponse& response);
  void dispatch(const http::HeaderMap& headers, std::string_view target, bool unix_socket, AdminRequest& request,
                AdminResponse& response);
  void answer_unknown(std::string_view path, AdminResponse& response);
  bool make_room();
  void erase(AdminConnection& connection);

  event::Lane& lane_;
  const AdminOptions options_;
  const http::h1::Settings h1_;
  std::map<std::string, Endpoint, std::less<>> endpoints_;
  std::vector<std::unique_ptr<net::ListenSocket>> listeners_;
  size_t waiting_bytes_ = 0;
  std::vector<std::unique_ptr<AdminConnection>> connections_;
  stats::Counter cx_total_, rq_total_;
  stats::Gauge cx_active_;
};

}  // namespace weir::admin
