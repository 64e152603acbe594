#include "core/match/matcher_input.h"

#include <charconv>

#include "core/http/query.h"
#include "core/match/header_matcher.h"
#include "core/stream/metadata.h"

namespace weir::match {
namespace {

using Kind = InputValue::Kind;

// The plain form of filter state that is not a string. Keeps its room; one per thread.
thread_local std::string plain_form;

// Absent is data() == nullptr.
InputValue text(std::string_view value) {
  InputValue out;
  out.kind = value.data() != nullptr ? Kind::kText : Kind::kNone;
  out.text = value;
  return out;
}
// Here an empty text says that there is none.
InputValue text_unless_empty(std::string_view value) { return value.empty() ? InputValue{} : text(value); }

InputValue not_yet() {
  InputValue out;
  out.kind = Kind::kNotYet;
  return out;
}

InputValue header(const http::HeaderMap* headers, const http::HeaderName& name) {
  return headers != nullptr ? text(joined_value(*headers, name)) : not_yet();
}

InputValue address(const net::Address& value) {
  InputValue out;
  if (!value.is_ip()) return out;
  out.kind = Kind::kAddress;
  out.address = &value;
  return out;
}

InputValue port(const net::Address& value, InputScratch& scratch) {
  if (!value.is_ip()) return {};
  char* end = std::to_chars(scratch.bytes, scratch.bytes + sizeof scratch.bytes, value.port()).ptr;
  return text({scratch.bytes, static_cast<size_t>(end - scratch.bytes)});
}

InputValue query_parameter(const http::HeaderMap* request, std::string_view name) {
  if (request == nullptr) return not_yet();
  std::string_view path = request->path();
  size_t question = path.find_first_of("?#");
  if (question == std::string_view::npos || path[question] == '#') return {};
  std::string_view query = path.substr(question + 1);
  return text(http::find_decoded_parameter(query.substr(0, query.find('#')), name));
}

InputValue filter_state(const stream::StreamInfo& info, stream::FilterStateName name) {
  const stream::FilterStateValue* value = stream::find_filter_state(info, name);
  if (value == nullptr) return {};
  if (value->kind() == stream::FilterStateValue::Kind::kString) return text(value->string());
  plain_form.clear();
  return value->append_plain(plain_form) ? text(plain_form) : InputValue{};
}

InputValue metadata(const stream::StreamInfo& info, const std::vector<std::string>& path) {
  InputValue out;
  out.value = info.metadata != nullptr ? info.metadata->root().find(path) : nullptr;
  // Also if there is none: matchers of metadata may ask for that.
  out.kind = Kind::kValue;
  return out;
}

InputValue status(const http::HeaderMap* response, bool whole_class, InputScratch& scratch) {
  if (response == nullptr) return not_yet();
  std::string_view code = response->status();
  if (!whole_class || code.size() != 3) return text(code);
  scratch.bytes[0] = code[0];
  scratch.bytes[1] = scratch.bytes[2] = 'x';
  return text({scratch.bytes, 3});
}

std::string_view peer_names(const stream::StreamInfo& info, net::NameKind kind) {
  return info.tls != nullptr ? info.tls->names(net::End::kPeer, kind).joined : std::string_view();
}

}  // namespace

bool Input::of_connection() const {
  switch (kind) {
    case Kind::kRequestHeader:
    case Kind::kRequestTrailer:
    case Kind::kResponseHeader:
    case Kind::kResponseTrailer:
    case Kind::kQueryParameter:
    case Kind::kResponseStatus:
    case Kind::kResponseStatusClass:
      return false;
    default:
      return true;
  }
}

std::string_view InputValue::as_text(char* buffer) const {
  switch (kind) {
    case Kind::kText:
      return text;
    case Kind::kAddress:
      return address->ip_to_text(buffer);
    case Kind::kValue:
      if (value != nullptr && value->kind() == stream::Value::Kind::kString) {
        return value->string().data() != nullptr ? value->string() : std::string_view("");
      }
      return {};
    default:
      return {};
  }
}

bool is_same_host(const net::Address& remote, const net::Address& local) noexcept {
  return remote.is_loopback() || remote.family() == net::Family::kUnix || (remote.is_ip() && remote.same_ip(local));
}

InputValue read(const Input& input, const Facts& facts, InputScratch& scratch) noexcept {
  const stream::StreamInfo& info = *facts.info;
  switch (input.kind) {
    case Input::Kind::kRequestHeader:
      return header(facts.request_headers, input.header);
    case Input::Kind::kRequestTrailer:
      return header(facts.request_trailers, input.header);
    case Input::Kind::kResponseHeader:
      return header(facts.response_headers, input.header);
    case Input::Kind::kResponseTrailer:
      return header(facts.response_trailers, input.header);
    case Input::Kind::kQueryParameter:
      return query_parameter(facts.request_headers, input.query_parameter);
    case Input::Kind::kResponseStatus:
      return status(facts.response_headers, false, scratch);
    case Input::Kind::kResponseStatusClass:
      return status(facts.response_headers, true, scratch);
    case Input::Kind::kDestinationIp:
      return address(info.downstream_local);
    case Input::Kind::kDestinationPort:
      return port(info.downstream_local, scratch);
    case Input::Kind::kSourceIp:
      return address(info.downstream_remote);
    case Input::Kind::kSourcePort:
      return port(info.downstream_remote, scratch);
    case Input::Kind::kDirectSourceIp:
      return address(info.downstream_direct_remote);
    case Input::Kind::kSourceType:
      return is_same_host(info.downstream_remote, info.downstream_local) ? text("local") : InputValue{};
    case Input::Kind::kServerName:
      return text_unless_empty(info.requested_server_name);
    case Input::Kind::kTransportProtocol:
      return info.connection != nullptr && !info.connection->transport_protocol.empty()
                 ? text(info.connection->transport_protocol)
                 : text("raw_buffer");
    case Input::Kind::kApplicationProtocol:
      return info.connection != nullptr ? text_unless_empty(info.connection->application_protocols) : InputValue{};
    case Input::Kind::kFilterState:
      return filter_state(info, input.filter_state);
    case Input::Kind::kDynamicMetadata:
      return metadata(info, input.path);
    case Input::Kind::kUriSan:
      return text_unless_empty(peer_names(info, net::NameKind::kUri));
    case Input::Kind::kDnsSan:
      return text_unless_empty(peer_names(info, net::NameKind::kDns));
    case Input::Kind::kSubject:
      return text_unless_empty(info.tls != nullptr
                                   ? info.tls->certificate(net::End::kPeer, net::CertificateFact::kSubject)
                                   : std::string_view());
  }
  return {};
}

}  // namespace weir::match
