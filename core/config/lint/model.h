// A bootstrap taken apart once for all rules: what is inside an Any, who serves whom, what a path is called. Internal
// to this folder; everything lives as long as the bootstrap.
#pragma once

#include <google/protobuf/any.pb.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace google::protobuf {
class Duration;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf
namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::core::v3 {
class Address;
}
namespace envoy::config::listener::v3 {
class FilterChain;
class Listener;
}  // namespace envoy::config::listener::v3
namespace envoy::config::route::v3 {
class RouteConfiguration;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}
namespace envoy::extensions::transport_sockets::tls::v3 {
class DownstreamTlsContext;
class UpstreamTlsContext;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace weir::config::lint {

using Hcm = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

// An HTTP connection manager and where it serves.
struct HttpManager {
  const envoy::config::listener::v3::Listener* listener;
  std::string listener_path;
  std::string path;  // of the message
  std::shared_ptr<const Hcm> hcm;
  bool edge = false;     // clients of the network connect to it directly, as far as the file tells
  bool public_ = false;  // they can: one of its addresses is not this machine's own
  // Of its filter chain; nullptr: plain text.
  std::shared_ptr<const envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext> tls;
  bool encrypted = false;  // any transport socket but raw_buffer

  std::string listener_name() const;
  bool has_filter(std::string_view type_prefix) const;  // an HTTP filter whose type name begins so
};

struct RouteTable {
  const envoy::config::route::v3::RouteConfiguration* routes;
  std::string path;
  const HttpManager* manager;

  std::string host_path(int host) const { return path + ".virtual_hosts[" + std::to_string(host) + "]"; }
};

struct ClusterEntry {
  const envoy::config::cluster::v3::Cluster* cluster;
  std::string path;
};

// Goes through a message and everything in it, into every Any whose type is known.
class Visitor {
 public:
  virtual ~Visitor() = default;
  // False: what is inside is not gone through.
  virtual bool message(const google::protobuf::Message&, const std::string& path) = 0;
  virtual void text(const google::protobuf::FieldDescriptor&, const std::string&) {}
  // An Any whose type is not known, or that cannot be read as it.
  virtual void unknown(std::string_view /*type*/) {}
};
void visit(const google::protobuf::Message& message, std::string path, Visitor& visitor);

class Model {
 public:
  explicit Model(const envoy::config::bootstrap::v3::Bootstrap& bootstrap);

  const envoy::config::bootstrap::v3::Bootstrap& bootstrap() const { return bootstrap_; }
  const std::vector<HttpManager>& managers() const { return managers_; }
  const std::vector<RouteTable>& tables() const { return tables_; }
  const std::vector<ClusterEntry>& clusters() const { return clusters_; }
  // nullptr: the file has none of that name.
  const ClusterEntry* cluster(std::string_view name) const;
  // More may come over the wire than the file has.
  bool dynamic_clusters() const;
  bool dynamic_routes() const { return dynamic_routes_; }

 private:
  void add_chain(const envoy::config::listener::v3::Listener& listener, const std::string& listener_path,
                 const envoy::config::listener::v3::FilterChain& chain, const std::string& path);

  const envoy::config::bootstrap::v3::Bootstrap& bootstrap_;
  std::vector<HttpManager> managers_;
  std::vector<RouteTable> tables_;
  std::vector<ClusterEntry> clusters_;
  std::unordered_map<std::string_view, size_t> by_name_;
  bool dynamic_routes_ = false;
};

// nullptr: of another type, or the bytes are broken.
template <class M>
std::shared_ptr<const M> unpack(const google::protobuf::Any& any) {
  auto message = std::make_shared<M>();
  if (!any.Is<M>() || !any.UnpackTo(message.get())) return nullptr;
  return message;
}

// "envoy.extensions.filters.http.rbac.v3.RBAC".
std::string_view type_name(const google::protobuf::Any& any);
// 127.0.0.0/8, ::1, localhost, a Unix socket, a listener inside the process.
bool stays_on_this_machine(const envoy::config::core::v3::Address& address);
double seconds(const google::protobuf::Duration& duration);
std::string seconds_text(const google::protobuf::Duration& duration);  // "0.25s"
std::string address_text(const envoy::config::core::v3::Address& address);

// visit() of every listener of the file.
void visit_listeners(const Model& model, Visitor& visitor);

}  // namespace weir::config::lint
