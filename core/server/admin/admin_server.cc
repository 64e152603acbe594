#include "core/server/admin/admin_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "core/config/suggest.h"
#include "core/http/header_map.h"
#include "core/server/admin/access_rules.h"
#include "core/server/admin/admin_connection.h"
#include "core/server/admin/json.h"

namespace weir::admin {
namespace {

http::h1::Settings settings() {
  http::h1::Settings settings;
  settings.limits.max_head_bytes = 16 * 1024;
  settings.options.accept_http_10 = true;  // health checkers and `curl -0`
  return settings;
}

bool is_form(std::string_view content_type) { return content_type.starts_with("application/x-www-form-urlencoded"); }

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 21\r\nconnection: "
    "close\r\n\r\ntoo many connections\n";

std::string_view name_of(const ParameterHelp& parameter) {
  return std::string_view(parameter.name).substr(0, parameter.name.find('='));
}

// Why a request is not understood; empty: every parameter is one of the endpoint's, or it takes any.
std::string unknown_parameter(const HandlerOptions& options, const AdminRequest& request) {
  std::string all;
  for (const ParameterHelp& known : options.parameters) {
    const std::string_view name = name_of(known);
    if (name.front() >= 'A' && name.front() <= 'Z') return {};  // KEY=VALUE
    (all += all.empty() ? "" : ", ") += name;
  }
  for (const auto& [name, value] : request.parameters) {
    const auto known = [&name = name](const ParameterHelp& one) { return name_of(one) == name; };
    if (name == "format" || std::any_of(options.parameters.begin(), options.parameters.end(), known)) continue;
    return "unknown parameter \"" + name + "\"; " + std::string(request.path) + " takes " +
           (all.empty() ? "none" : all);
  }
  return {};
}

}  // namespace

AdminServer::AdminServer(event::Lane& lane, stats::Store& store, AdminOptions options)
    : lane_(lane),
      options_(std::move(options)),
      h1_(settings()),
      cx_total_(store.counter("http.admin.downstream_cx_total")),
      rq_total_(store.counter("http.admin.downstream_rq_total")),
      cx_active_(store.gauge("http.admin.downstream_cx_active")) {}

AdminServer::~AdminServer() = default;

Result<net::Address> AdminServer::listen(const net::Address& address, net::ListenOptions options) {
  auto fd = net::open_listen_socket(address, options);
  if (!fd.ok()) return fd.status();
  listeners_.push_back(std::make_unique<net::ListenSocket>(lane_, *fd, 16, *this));
  return net::bound_address(*fd);
}

void AdminServer::adopt(int fd) {
  listeners_.push_back(std::make_unique<net::ListenSocket>(lane_, fd, 16, *this));
  listeners_.back()->pause();
}

void AdminServer::resume() {
  for (auto& listener : listeners_) listener->resume();
}

void AdminServer::stop_listening() {
  for (auto& listener : listeners_) listener->drain_and_close();
}

void AdminServer::list_sockets(const std::function<void(int fd)>& visit) const {
  for (const auto& listener : listeners_) {
    if (listener->fd() >= 0) visit(listener->fd());
  }
}

void AdminServer::add(std::string path, HandlerOptions options, Handler handler) {
  endpoints_.insert_or_assign(std::move(path), Endpoint{std::move(options), std::move(handler)});
}

void AdminServer::on_accepted(int fd, const net::Address& remote) {
  cx_total_.inc();
  if (connections_.size() >= options_.max_connections && !make_room()) {
    [[maybe_unused]] ssize_t ignored =
        send(fd, kTooManyConnections.data(), kTooManyConnections.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
    return;
  }
  cx_active_.inc();
  connections_.push_back(std::make_unique<AdminConnection>(*this, fd, remote));
  connections_.back()->start();
}

// Somebody who keeps connections open for nothing, or sends requests that never end, must not lock the operator out,
// nor whoever asks whether the process lives.
bool AdminServer::make_room() {
  const auto oldest = [&](bool (AdminConnection::*close)()) {
    return std::any_of(connections_.begin(), connections_.end(),
                       [&](const auto& connection) { return (*connection.*close)(); });
  };
  return oldest(&AdminConnection::close_if_idle) || oldest(&AdminConnection::close_if_waiting);
}

void AdminServer::erase(AdminConnection& connection) {
  cx_active_.dec();
  std::erase_if(connections_, [&](const auto& entry) { return entry.get() == &connection; });
}

void AdminServer::answer(const http::HeaderMap& headers, std::string_view body, bool unix_socket,
                         AdminResponse& response) {
  rq_total_.inc();
  AdminRequest request;
  request.method = headers.method();
  request.authority = headers.authority();
  request.body = body;
  request.accept = headers.get(http::HeaderId::kAccept);
  std::string_view target = headers.path();
  target = target.substr(0, target.find('#'));
  size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  if (question < target.size()) parse_form(target.substr(question + 1), request.parameters);
  bool json = request.get("format") == "json";
  dispatch(headers, target, unix_socket, request, response);
  if (json && response.status >= 400 && response.content_type.starts_with("text/plain")) {
    std::string error = std::move(response.body);
    while (error.ends_with('\n')) error.pop_back();
    response.answer_json_text("{\"error\":" + json_text(error) + "}\n");
  }
}

void AdminServer::dispatch(const http::HeaderMap& headers, std::string_view target, bool unix_socket,
                           AdminRequest& request, AdminResponse& response) {
  using http::HeaderId;
  auto at = endpoints_.find(request.path);
  bool any_host = unix_socket || request.authority.empty() || (at != endpoints_.end() && at->second.options.any_host);
  if (!any_host && !host_allowed(request.authority, options_.allowed_hosts)) {
    return response.fail(
        403, "the Host header must be an IP address or localhost: other names may lead a browser here unasked\n");
  }
  bool read = request.method == "GET" || request.method == "HEAD";
  if (std::string_view why = foreign_origin(headers, !read); !why.empty()) {
    return response.fail(403, "refused: " + std::string(why) + "\n");
  }
  if (at == endpoints_.end()) return answer_unknown(request.path, response);
  if (options_.allow_path && !options_.allow_path(request.path)) {
    return response.fail(403, std::string(request.path) + ": admin.allow_paths does not allow this endpoint\n");
  }
  const HandlerOptions& options = at->second.options;
  const Access access = options.access;
  bool allowed = read ? access != Access::kChange : request.is_post() && access != Access::kRead;
  if (!allowed) {
    std::string how = "  curl -X POST http://" +
                      (request.authority.empty() ? "ADDRESS" : std::string(request.authority)) + std::string(target) +
                      "\n";
    response.fail(405, access == Access::kRead ? std::string(request.path) + " only reads: use GET\n"
                                               : std::string(request.path) + " changes state: use POST\n" + how);
    response.headers.emplace_back("allow", access == Access::kRead     ? "GET, HEAD"
                                           : access == Access::kChange ? "POST"
                                                                       : "GET, HEAD, POST");
    return;
  }
  if (is_form(headers.get(HeaderId::kContentType))) parse_form(request.body, request.parameters);
  request.format = request.get("format").value_or(options.formats.front());
  if (std::find(options.formats.begin(), options.formats.end(), request.format) == options.formats.end()) {
    std::string all;
    for (std::string_view format : options.formats) (all += all.empty() ? "" : ", ") += format;
    return response.fail(400, "format: \"" + std::string(request.format) + "\" is not one of " + all + "\n");
  }
  // What changes something does not do so for someone who asked for something else.
  if (access == Access::kChange) {
    if (std::string unknown = unknown_parameter(options, request); !unknown.empty())
      return response.fail(400, unknown + "\n");
  }
  at->second.handler(request, response);
}

void AdminServer::answer_unknown(std::string_view path, AdminResponse& response) {
  constexpr size_t kFar = 5;
  std::vector<std::pair<size_t, std::string_view>> near;
  for (const auto& [name, endpoint] : endpoints_) {
    bool within = path.size() > 2 && name.find(path.substr(1)) != std::string::npos;
    size_t distance = within ? 0 : config::edit_distance(path.substr(0, 64), name, kFar);
    if (distance <= std::min(kFar, 1 + path.size() / 3)) near.emplace_back(distance, name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // What the path is a part of is meant rather than what looks like it.
  if (!near.empty() && near.front().first == 0) std::erase_if(near, [](const auto& one) { return one.first > 0; });
  std::string text = std::string(path.substr(0, 80)) + ": no such endpoint";
  for (size_t i = 0; i < std::min<size_t>(near.size(), 3); ++i)
    text += (i == 0 ? "; nearest: " : ", ") + std::string(near[i].second);
  response.fail(404, text + "\n/help lists all endpoints\n");
}

}  // namespace weir::admin
