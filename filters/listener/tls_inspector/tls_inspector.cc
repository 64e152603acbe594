#include "filters/listener/tls_inspector/tls_inspector.h"

#include "core/crypto/library.h"
#include "core/filter/register.h"
#include "core/http/chars.h"
#include "core/stream/metadata.h"
#include "core/stream/stream_info.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "filters/listener/tls_inspector/client_hello.h"
#include "filters/listener/tls_inspector/fingerprint.h"

namespace weir::filters::tls_inspector {

filter::ListenerFilter::Verdict Filter::on_accept(filter::ConnectionHost& host, filter::ConnectionFacts&) {
  host_ = &host;
  return Verdict::kNeedMore;
}

void Filter::tell_why(std::string_view reason) {
  host_->info().make_metadata().set("envoy.filters.listener.tls_inspector", "failure_reason",
                                    stream::Value::of_string(reason));
}

filter::ListenerFilter::Verdict Filter::inspect(std::string_view peeked, bool, filter::ConnectionFacts& facts,
                                                size_t&) {
  ClientHello hello;
  switch (parse_client_hello(peeked, settings_.max_size, hello)) {
    case Parsed::kNotYet:
      needed_ = hello.needed;
      return Verdict::kNeedMore;
    case Parsed::kTooLarge:
      settings_.too_large.inc();
      settings_.bytes_processed.record(peeked.size());
      tell_why("ClientHelloTooLarge");
      return Verdict::kReject;
    case Parsed::kNoTls:
    case Parsed::kInvalid:
      settings_.not_found.inc();
      settings_.bytes_processed.record(peeked.size());
      tell_why("ClientHelloNotDetected");
      return settings_.close_others ? Verdict::kReject : Verdict::kDone;
    case Parsed::kHello:
      break;
  }
  settings_.found.inc();
  settings_.bytes_processed.record(hello.size);
  facts.transport_protocol = "tls";
  (hello.server_name.empty() ? settings_.sni_not_found : settings_.sni_found).inc();
  facts.server_name = hello.server_name;
  for (char& c : facts.server_name) c = http::to_lower(c);
  (hello.protocols.empty() ? settings_.alpn_not_found : settings_.alpn_found).inc();
  facts.application_protocols.clear();
  for (Reader names(hello.protocols); !names.done();) facts.application_protocols.emplace_back(names.sized(1));
  if (settings_.ja3 || settings_.ja4)
    host_->info().set_client_fingerprints(settings_.ja3 ? ja3(hello) : "", settings_.ja4 ? ja4(hello) : "");
  return Verdict::kDone;
}

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(
      const envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    if (proto.has_max_client_hello_size()) config->max_size = proto.max_client_hello_size().value();
    config->close_others = proto.close_connection_on_client_hello_parsing_errors();
    config->ja3 = proto.enable_ja3_fingerprinting().value();
    config->ja4 = proto.enable_ja4_fingerprinting().value();
    if (config->ja3 || config->ja4) {  // made of digests
      if (Status opened = crypto::open_library(); !opened.ok()) return opened;
    }
    stats::Store& store = scope.store();
    config->too_large = store.counter("tls_inspector.client_hello_too_large");
    config->found = store.counter("tls_inspector.tls_found");
    config->not_found = store.counter("tls_inspector.tls_not_found");
    config->alpn_found = store.counter("tls_inspector.alpn_found");
    config->alpn_not_found = store.counter("tls_inspector.alpn_not_found");
    config->sni_found = store.counter("tls_inspector.sni_found");
    config->sni_not_found = store.counter("tls_inspector.sni_not_found");
    config->bytes_processed = store.histogram("tls_inspector.bytes_processed", stats::Unit::kBytes);
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::tls_inspector

namespace weir::plugins {
void listener_filter_tls_inspector(filter::RegistryBuilder& registry) {
  using namespace filters::tls_inspector;
  registry.add(filter::describe_listener_filter<Config, Plugin>("envoy.filters.listener.tls_inspector"));
}
}  // namespace weir::plugins
