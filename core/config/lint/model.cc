#include "core/config/lint/model.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>

#include "core/config/position_index.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace weir::config::lint {
namespace {

namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::core::v3::Address;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::string_view kRawBuffer = "envoy.extensions.transport_sockets.raw_buffer.";
constexpr int kMaxDepth = 100;

std::string item(const std::string& list, int index) { return list + "[" + std::to_string(index) + "]"; }

std::unique_ptr<Message> inside(const google::protobuf::Any& any) {
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type_name(any)));
  if (type == nullptr) return nullptr;
  std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  return message->ParseFromString(any.value()) ? std::move(message) : nullptr;
}

class Walk {
 public:
  Walk(std::string path, Visitor& visitor) : path_(std::move(path)), visitor_(visitor) {}

  void message(const Message& message, int depth) {
    if (depth > kMaxDepth) return;
    if (const auto* any = google::protobuf::DynamicCastToGenerated<google::protobuf::Any>(&message)) {
      auto inner = inside(*any);
      if (inner == nullptr && !any->type_url().empty()) visitor_.unknown(type_name(*any));
      if (inner != nullptr) this->message(*inner, depth + 1);
      return;
    }
    if (!visitor_.message(message, path_)) return;
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const size_t size = path_.size();
      append_path_name(path_, field->name());
      one_field(message, *field, depth);
      path_.resize(size);
    }
  }

 private:
  void one_field(const Message& message, const FieldDescriptor& field, int depth) {
    const auto& reflection = *message.GetReflection();
    const bool text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (!text && field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return;
    if (!field.is_repeated()) {
      if (text) {
        visitor_.text(field, reflection.GetString(message, &field));
      } else {
        this->message(reflection.GetMessage(message, &field), depth + 1);
      }
      return;
    }
    const size_t size = path_.size();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      if (text) {
        visitor_.text(field, reflection.GetRepeatedString(message, &field, i));
      } else if (field.is_map()) {
        map_entry(reflection.GetRepeatedMessage(message, &field, i), depth);
      } else {
        append_path_item(path_, static_cast<size_t>(i));
        this->message(reflection.GetRepeatedMessage(message, &field, i), depth + 1);
      }
      path_.resize(size);
    }
  }
  void map_entry(const Message& entry, int depth) {
    const auto& reflection = *entry.GetReflection();
    const FieldDescriptor& key = *entry.GetDescriptor()->map_key();
    const FieldDescriptor& value = *entry.GetDescriptor()->map_value();
    if (key.cpp_type() != FieldDescriptor::CPPTYPE_STRING) return;
    visitor_.text(key, reflection.GetString(entry, &key));
    append_path_name(path_, reflection.GetString(entry, &key));
    if (value.cpp_type() == FieldDescriptor::CPPTYPE_STRING) visitor_.text(value, reflection.GetString(entry, &value));
    if (value.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) message(reflection.GetMessage(entry, &value), depth + 1);
  }

  std::string path_;
  Visitor& visitor_;
};

bool is_public(const Address& address) { return !stays_on_this_machine(address); }

// Where browsers look, and whoever has not been told a port.
bool is_well_known(const Address& address) {
  const uint32_t port = address.socket_address().port_value();
  return is_public(address) && (port == 80 || port == 443);
}

bool any_address(const envoy::config::listener::v3::Listener& listener, bool (*is)(const Address&)) {
  const auto& more = listener.additional_addresses();
  return is(listener.address()) ||
         std::any_of(more.begin(), more.end(), [&](const auto& one) { return is(one.address()); });
}

// Clients of the network connect to it directly. Most files do not say so: then it is one that lets in whoever comes,
// and of which nothing says that somebody stands in front of it.
bool faces_clients(const HttpManager& manager, const Hcm& hcm) {
  if (!manager.public_) return false;
  if (hcm.has_use_remote_address()) return hcm.use_remote_address().value();
  if (manager.listener->traffic_direction() != envoy::config::core::v3::UNSPECIFIED || hcm.xff_num_trusted_hops() > 0 ||
      hcm.original_ip_detection_extensions_size() > 0)
    return false;
  const bool asks_everybody = manager.tls != nullptr && !manager.tls->require_client_certificate().value();
  return asks_everybody || (any_address(*manager.listener, is_well_known) && !manager.encrypted);
}

}  // namespace

void visit(const Message& message, std::string path, Visitor& visitor) {
  Walk(std::move(path), visitor).message(message, 0);
}

std::string_view type_name(const google::protobuf::Any& any) {
  std::string_view url = any.type_url();
  return url.substr(url.rfind('/') + 1);
}

bool stays_on_this_machine(const Address& address) {
  if (address.has_pipe() || address.has_envoy_internal_address()) return true;
  const std::string& text = address.socket_address().address();
  return text.starts_with("127.") || text == "::1" || text == "localhost" || text == "0:0:0:0:0:0:0:1" ||
         text.starts_with("::ffff:127.");
}

double seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

std::string seconds_text(const google::protobuf::Duration& duration) {
  std::string text = std::to_string(seconds(duration));
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text + "s";
}

std::string address_text(const Address& address) {
  if (address.has_pipe()) return address.pipe().path();
  const auto& socket = address.socket_address();
  std::string host = socket.address();
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return host + ":" + (socket.named_port().empty() ? std::to_string(socket.port_value()) : socket.named_port());
}

std::string HttpManager::listener_name() const {
  return listener->name().empty() ? address_text(listener->address()) : listener->name();
}

bool HttpManager::has_filter(std::string_view type_prefix) const {
  for (const auto& filter : hcm->http_filters()) {
    if (!filter.disabled() && type_name(filter.typed_config()).starts_with(type_prefix)) return true;
  }
  return false;
}

Model::Model(const envoy::config::bootstrap::v3::Bootstrap& bootstrap) : bootstrap_(bootstrap) {
  const auto& resources = bootstrap.static_resources();
  for (int i = 0; i < resources.clusters_size(); ++i) {
    clusters_.push_back({&resources.clusters(i), item("static_resources.clusters", i)});
    by_name_.try_emplace(resources.clusters(i).name(), static_cast<size_t>(i));
  }
  for (int i = 0; i < resources.listeners_size(); ++i) {
    const auto& listener = resources.listeners(i);
    const std::string path = item("static_resources.listeners", i);
    for (int k = 0; k < listener.filter_chains_size(); ++k)
      add_chain(listener, path, listener.filter_chains(k), item(path + ".filter_chains", k));
    if (listener.has_default_filter_chain())
      add_chain(listener, path, listener.default_filter_chain(), path + ".default_filter_chain");
  }
  for (const HttpManager& manager : managers_) {
    if (manager.hcm->has_route_config())
      tables_.push_back({&manager.hcm->route_config(), manager.path + ".route_config", &manager});
    dynamic_routes_ = dynamic_routes_ || manager.hcm->has_rds() || manager.hcm->has_scoped_routes();
  }
  const auto& dynamic = bootstrap.dynamic_resources();
  dynamic_routes_ = dynamic_routes_ || dynamic.has_lds_config() || !dynamic.lds_resources_locator().empty();
}

void Model::add_chain(const envoy::config::listener::v3::Listener& listener, const std::string& listener_path,
                      const envoy::config::listener::v3::FilterChain& chain, const std::string& path) {
  const auto& socket = chain.transport_socket().typed_config();
  for (int i = 0; i < chain.filters_size(); ++i) {
    auto hcm = unpack<Hcm>(chain.filters(i).typed_config());
    if (hcm == nullptr) continue;
    HttpManager manager;
    manager.listener = &listener;
    manager.listener_path = listener_path;
    manager.path = item(path + ".filters", i) + ".typed_config";
    manager.tls = unpack<tls_v3::DownstreamTlsContext>(socket);
    manager.encrypted = chain.has_transport_socket() && !type_name(socket).starts_with(kRawBuffer) &&
                        chain.transport_socket().name() != "envoy.transport_sockets.raw_buffer";
    manager.public_ = !listener.has_internal_listener() && any_address(listener, is_public) &&
                      listener.traffic_direction() != envoy::config::core::v3::OUTBOUND;
    manager.edge = faces_clients(manager, *hcm);
    manager.hcm = std::move(hcm);
    managers_.push_back(std::move(manager));
  }
}

const ClusterEntry* Model::cluster(std::string_view name) const {
  auto at = by_name_.find(name);
  return at != by_name_.end() ? &clusters_[at->second] : nullptr;
}

bool Model::dynamic_clusters() const {
  const auto& dynamic = bootstrap_.dynamic_resources();
  return dynamic.has_cds_config() || !dynamic.cds_resources_locator().empty();
}

void visit_listeners(const Model& model, Visitor& visitor) {
  const auto& listeners = model.bootstrap().static_resources().listeners();
  for (int i = 0; i < listeners.size(); ++i) visit(listeners[i], item("static_resources.listeners", i), visitor);
}

}  // namespace weir::config::lint
