#include "filters/listener/http_inspector/http_inspector.h"

#include <algorithm>

#include "core/filter/register.h"
#include "core/http/chars.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"

namespace weir::filters::http_inspector {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 3.4

// RFC 9112 3: method SP request-target SP HTTP-version.
Spoken version_of(std::string_view line) {
  const size_t method = line.find(' ');
  const size_t target = line.rfind(' ');
  if (method == std::string_view::npos || target <= method + 1) return Spoken::kNothing;
  if (!http::is_token(line.substr(0, method))) return Spoken::kNothing;
  if (line.substr(method + 1, target - method - 1).find(' ') != std::string_view::npos) return Spoken::kNothing;
  const std::string_view version = line.substr(target + 1);
  return version == "HTTP/1.1" ? Spoken::kHttp11 : version == "HTTP/1.0" ? Spoken::kHttp10 : Spoken::kNothing;
}

}  // namespace

Spoken detect(std::string_view bytes, size_t seen) noexcept {
  const size_t common = std::min(bytes.size(), kPreface.size());
  if (bytes.substr(0, common) == kPreface.substr(0, common))
    return common == kPreface.size() ? Spoken::kHttp2 : Spoken::kNotYetKnown;
  // RFC 9112 2.2: line breaks ahead of a request are no part of it.
  size_t start = 0;
  while (start < bytes.size() && (bytes[start] == '\r' || bytes[start] == '\n')) ++start;
  // The beginning of a preface has line ends, too.
  const size_t skipped = seen >= kPreface.size() ? std::min(seen, bytes.size()) : 0;
  const size_t end = bytes.find('\n', std::max(start, skipped));
  if (end == std::string_view::npos) {
    if (bytes.size() > kMaxLine) return Spoken::kNothing;
    // What cannot become a method any more is told at once: such a client may wait for the server to speak.
    const std::string_view begun = bytes.substr(start);
    const std::string_view method = begun.substr(0, begun.substr(0, kMaxMethod + 1).find(' '));
    if (method.size() > kMaxMethod) return Spoken::kNothing;
    return method.empty() == begun.empty() && (method.empty() || http::is_token(method)) ? Spoken::kNotYetKnown
                                                                                         : Spoken::kNothing;
  }
  std::string_view line = bytes.substr(start, end - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kMaxLine || line.substr(0, kMaxMethod + 1).find(' ') > kMaxMethod) return Spoken::kNothing;
  return version_of(line);
}

filter::ListenerFilter::Verdict Filter::on_accept(filter::ConnectionHost&, filter::ConnectionFacts& facts) {
  const bool plain = facts.transport_protocol.empty() || facts.transport_protocol == "raw_buffer";
  return plain ? Verdict::kNeedMore : Verdict::kDone;  // what is encrypted is not to be read
}

filter::ListenerFilter::Verdict Filter::inspect(std::string_view peeked, bool end, filter::ConnectionFacts& facts,
                                                size_t&) {
  switch (detect(peeked, seen_)) {
    case Spoken::kNotYetKnown:
      seen_ = peeked.size();
      if (end) settings_.read_error.inc();
      return Verdict::kNeedMore;
    case Spoken::kNothing:
      settings_.not_found.inc();
      break;
    case Spoken::kHttp10:
      settings_.http10.inc();
      facts.application_protocols = {"http/1.0"};
      break;
    case Spoken::kHttp11:
      settings_.http11.inc();
      facts.application_protocols = {"http/1.1"};
      break;
    case Spoken::kHttp2:
      settings_.http2.inc();
      facts.application_protocols = {"h2c"};
      break;
  }
  return Verdict::kDone;
}

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(
      const envoy::extensions::filters::listener::http_inspector::v3::HttpInspector&, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    stats::Store& store = scope.store();
    config->read_error = store.counter("http_inspector.read_error");
    config->http10 = store.counter("http_inspector.http10_found");
    config->http11 = store.counter("http_inspector.http11_found");
    config->http2 = store.counter("http_inspector.http2_found");
    config->not_found = store.counter("http_inspector.http_not_found");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::http_inspector

namespace weir::plugins {
void listener_filter_http_inspector(filter::RegistryBuilder& registry) {
  using namespace filters::http_inspector;
  registry.add(filter::describe_listener_filter<Config, Plugin>("envoy.filters.listener.http_inspector"));
}
}  // namespace weir::plugins
