#include "filters/http/ext_authz/grpc_service.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/base/utf8.h"
#include "core/grpc/call.h"
#include "core/http/chars.h"
#include "core/http/url.h"
#include "core/net/transport_facts.h"
#include "core/stream/header_value.h"
#include "core/stream/metadata.h"
#include "core/stream/read_value.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "filters/http/ext_authz/ext_authz.h"

namespace weir::filters::ext_authz {

using http::HeaderEntry;
using http::HeaderId;
namespace auth = envoy::service::auth::v3;
namespace core = envoy::config::core::v3;

namespace {

constexpr std::string_view kMethod = "/envoy.service.auth.v3.Authorization/Check";

// --- The question ----------------------------------------------------------------------------------------------------

// A string of protobuf is UTF-8, and what a client sends need not be. As published: what is no character is a '!'.
std::string as_text(std::string text) {
  for (size_t at = 0; at < text.size();) {
    const size_t size = utf8_length(std::string_view(text).substr(at));
    if (size == 0) text[at] = '!';
    at += std::max<size_t>(size, 1);
  }
  return text;
}

std::string as_text(std::string_view bytes) { return as_text(std::string(bytes)); }

void write_address(const net::Address& from, core::Address& to) {
  if (from.family() == net::Family::kUnix) {
    to.mutable_pipe()->set_path(as_text(from.to_string()));
  } else if (!from.empty()) {
    to.mutable_socket_address()->set_address(from.ip_to_string());
    to.mutable_socket_address()->set_port_value(from.port());
  }
}

// Who an end of a connection has shown to be.
std::string_view principal(net::TransportFacts& tls, net::End end) {
  for (const net::NameKind kind : {net::NameKind::kUri, net::NameKind::kDns}) {
    if (const auto& names = tls.names(end, kind).each; !names.empty()) return names.front();
  }
  return tls.certificate(end, net::CertificateFact::kSubject);
}

void write_value(const stream::Value& from, google::protobuf::Value& to);

void write_struct(const stream::Value& from, google::protobuf::Struct& to) {
  for (const stream::Field& field : from.fields()) write_value(field.value, (*to.mutable_fields())[as_text(field.key)]);
}

void write_value(const stream::Value& from, google::protobuf::Value& to) {
  using Kind = stream::Value::Kind;
  switch (from.kind()) {
    case Kind::kNull:
      return to.set_null_value(google::protobuf::NULL_VALUE);
    case Kind::kBool:
      return to.set_bool_value(from.boolean());
    case Kind::kNumber:
      return to.set_number_value(from.number());
    case Kind::kString:
      return to.set_string_value(as_text(from.string()));
    case Kind::kList:
      to.mutable_list_value();
      for (const stream::Value& item : from.items()) write_value(item, *to.mutable_list_value()->add_values());
      return;
    case Kind::kStruct:
      return write_struct(from, *to.mutable_struct_value());
  }
}

void write_namespace(const stream::Value* from, const std::string& name, core::Metadata& to) {
  if (from != nullptr && from->kind() == stream::Value::Kind::kStruct)
    write_struct(*from, (*to.mutable_filter_metadata())[name]);
}

// What the stream knows, or else its connection.
void write_metadata(const Told& told, const stream::StreamInfo& info, core::Metadata& to) {
  const stream::Metadata* known[] = {info.metadata, info.connection != nullptr ? info.connection->metadata() : nullptr};
  for (const std::string& name : told.metadata) {
    for (const stream::Metadata* metadata : known) {
      const stream::Value* value = metadata != nullptr ? metadata->find(name) : nullptr;
      write_namespace(value, name, to);
      if (value != nullptr) break;
    }
  }
  for (const std::string& name : told.typed_metadata) {
    for (const stream::Metadata* metadata : known) {
      const stream::Metadata::Typed* typed = metadata != nullptr ? metadata->find_typed(name) : nullptr;
      if (typed == nullptr) continue;
      google::protobuf::Any& any = (*to.mutable_typed_filter_metadata())[name];
      any.set_type_url(std::string(typed->type));
      any.set_value(std::string(typed->bytes));
      break;
    }
  }
}

void write_headers(const Told& told, const CheckRequest& request, auth::AttributeContext::HttpRequest& to) {
  const auto add = [&](std::string_view name, std::string_view value) {
    if (told.raw_headers) {
      core::HeaderValue& header = *to.mutable_header_map()->add_headers();
      header.set_key(std::string(name));
      header.set_raw_value(std::string(value));
      return;
    }
    std::string& text = (*to.mutable_headers())[std::string(name)];
    if (!text.empty()) text += ',';
    text += as_text(value);
  };
  request.stream.request_headers().for_each([&](const HeaderEntry& entry) {
    const std::string_view name = entry.name();
    if (name == partial_body_header().text() || is_in(told.disallowed_headers, name)) return;
    if (told.allowed_headers.empty() || is_in(told.allowed_headers, name)) add(name, entry.value());
  });
  if (request.body != nullptr) add(partial_body_header().text(), request.partial ? "true" : "false");
}

void write_http(const Told& told, const CheckRequest& request, auth::AttributeContext::HttpRequest& to) {
  const http::HeaderMap& headers = request.stream.request_headers();
  const stream::StreamInfo& info = request.stream.info();
  to.set_id(std::to_string(info.stream_id));
  to.set_method(std::string(headers.method()));
  to.set_path(as_text(headers.path()));
  to.set_host(as_text(headers.authority()));
  to.set_scheme(std::string(headers.scheme()));
  to.set_protocol(std::string(stream::protocol_name(info.protocol)));
  write_headers(told, request, to);
  uint64_t length = 0;
  if (http::parse_decimal(headers.get(HeaderId::kContentLength), length)) {
    to.set_size(static_cast<int64_t>(length));
  } else {
    to.set_size(request.body != nullptr && !request.partial ? static_cast<int64_t>(request.body->size()) : -1);
  }
  if (request.body == nullptr) return;
  if (request.body_as_bytes) {
    to.set_raw_body(request.body->to_string());
  } else {
    to.set_body(as_text(request.body->to_string()));
  }
}

void write_source(const Told& told, const filter::Stream& stream, auth::AttributeContext::Peer& to) {
  const stream::StreamInfo& info = stream.info();
  // Whom the connection is from, whatever x-forwarded-for says.
  write_address(info.connection_remote != nullptr ? *info.connection_remote : info.downstream_direct_remote,
                *to.mutable_address());
  to.set_service(as_text(stream.request_headers().get(HeaderId::kXEnvoyDownstreamServiceCluster)));
  if (info.tls == nullptr || !info.tls->presented()) return;
  to.set_principal(as_text(principal(*info.tls, net::End::kPeer)));
  if (told.peer_certificate)
    to.set_certificate(std::string(info.tls->certificate(net::End::kPeer, net::CertificateFact::kPem)));
}

// --- The answer ------------------------------------------------------------------------------------------------------

std::string_view copy(const std::string& text, Arena& arena) { return arena.copy_or_empty(text); }

// Headers as the service changes them. False: a header that there cannot be.
class HeaderReader {
 public:
  explicit HeaderReader(Arena& arena) : arena_(arena) {}

  bool add(const core::HeaderValue& from, bool request, Fields& to) {
    const std::string& value = from.raw_value().empty() ? from.value() : from.raw_value();
    const http::HeaderName name(from.key());
    HeaderId id = name.id();
    if (frames_message(id)) return true;  // never taken over
    if (request && id == HeaderId::kHost) id = HeaderId::kAuthority;
    if (request && id == HeaderId::kAuthority) {
      if (!http::is_valid_authority(value)) return false;
    } else if (request && id == HeaderId::kPath) {
      if (value.empty() || value.front() != '/' || !http::all_chars(value, http::kTargetChar)) return false;
    } else if (!http::is_token(name.text()) || id == HeaderId::kHost || !http::all_chars(value, http::kFieldChar)) {
      return false;
    }
    const std::string_view text = id != HeaderId::kNone ? http::name_of(id) : arena_.copy(name.text());
    to.add(arena_, text, id, copy(value, arena_));
    return true;
  }

  bool read(const google::protobuf::RepeatedPtrField<core::HeaderValueOption>& from, bool request, Changes& to) {
    using Option = core::HeaderValueOption;
    return std::all_of(from.begin(), from.end(), [&](const Option& option) {
      // As published: what is not said (`append_action` is 0 then) adds to responses. Of a request it takes the place
      // of what a client may have made up, and only `append` adds.
      Fields* into = &to.set;
      if (option.has_append()) {
        if (option.append().value()) into = &to.add;
      } else if (!request && option.append_action() == Option::APPEND_IF_EXISTS_OR_ADD) {
        into = &to.add;
      } else if (option.append_action() == Option::ADD_IF_ABSENT) {
        into = &to.if_absent;
      } else if (option.append_action() == Option::OVERWRITE_IF_EXISTS) {
        into = &to.if_present;
      }
      return add(option.header(), request, *into);
    });
  }

  bool read_reply(const auth::DeniedHttpResponse& from, CheckAnswer& answer) {
    const int status = from.status().code();
    if (status >= 200 && status < 600) answer.status = status;
    answer.body = copy(from.body(), arena_);
    return std::all_of(from.headers().begin(), from.headers().end(),
                       [&](const auto& option) { return add(option.header(), false, answer.reply); });
  }

  bool read_request(const auth::OkHttpResponse& from, CheckAnswer& answer) {
    if (!read(from.headers(), true, answer.request)) return false;
    if (!read(from.response_headers_to_add(), false, answer.response)) return false;
    for (const std::string& each : from.headers_to_remove()) {
      const http::HeaderName name(each);
      // Without these there would be no request.
      if (is_pseudo(name.text()) || name.id() == HeaderId::kHost || name.text().empty()) continue;
      answer.request.remove.add(arena_, arena_.copy(name.text()), name.id(), {});
    }
    for (const auto& parameter : from.query_parameters_to_set())
      answer.query_set.add(arena_, copy(parameter.key(), arena_), HeaderId::kNone, copy(parameter.value(), arena_));
    for (const std::string& name : from.query_parameters_to_remove())
      answer.query_remove.add(arena_, copy(name, arena_), HeaderId::kNone, {});
    return true;
  }

 private:
  Arena& arena_;
};

class GrpcClient final : public AuthzClient, private grpc::Call {
 public:
  explicit GrpcClient(const GrpcService& service) : service_(service) {}

  bool check(const CheckRequest& request, Caller& caller) override {
    stream_ = &request.stream;
    caller_ = &caller;
    subject_.emplace(stream::LogSubject{stream_->info(), &stream_->request_headers()});
    Slices question = GrpcService::write_question(request);
    return start(stream_->lane(), service_.service(), kMethod, question, &*subject_).ok();
  }

 private:
  void on_response(const grpc::Status& status, const Slices& response) override {
    Arena& arena = stream_->arena();
    caller_->on_checked(status.ok() ? GrpcService::read_answer(whole(response, arena), arena) : CheckAnswer{});
  }

  const GrpcService& service_;
  filter::Stream* stream_ = nullptr;
  Caller* caller_ = nullptr;
  std::optional<stream::LogSubject> subject_;  // of the initial metadata
};

}  // namespace

AuthzClient* GrpcService::make_client(Arena& arena) const { return arena.make<GrpcClient>(*this); }

Slices GrpcService::write_question(const CheckRequest& request) {
  const Told& told = request.told;
  google::protobuf::Arena memory;
  auto& message = *google::protobuf::Arena::CreateMessage<auth::CheckRequest>(&memory);
  auth::AttributeContext& attributes = *message.mutable_attributes();
  filter::Stream& stream = request.stream;
  const stream::StreamInfo& info = stream.info();
  write_source(told, stream, *attributes.mutable_source());
  write_address(info.downstream_local, *attributes.mutable_destination()->mutable_address());
  if (info.tls != nullptr)
    attributes.mutable_destination()->set_principal(as_text(principal(*info.tls, net::End::kLocal)));
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(info.start_wall.time_since_epoch()).count();
  attributes.mutable_request()->mutable_time()->set_seconds(since / 1'000'000'000);
  attributes.mutable_request()->mutable_time()->set_nanos(static_cast<int32_t>(since % 1'000'000'000));
  write_http(told, request, *attributes.mutable_request()->mutable_http());
  if (told.tls_session && !info.requested_server_name.empty())
    attributes.mutable_tls_session()->set_sni(as_text(info.requested_server_name));
  for (size_t level = 0; request.routes != nullptr && level < request.routes->size(); ++level) {
    for (const auto& [key, value] : (*request.routes)[level].context)
      (*attributes.mutable_context_extensions())[key] = value;
  }
  write_metadata(told, info, *attributes.mutable_metadata_context());
  for (const std::string& name : told.route_metadata) {
    write_namespace(info.route_metadata != nullptr ? info.route_metadata->find(name) : nullptr, name,
                    *attributes.mutable_route_metadata_context());
  }

  const size_t size = message.ByteSizeLong();
  BlockRef block = stream.lane().blocks().take(size);
  static_cast<void>(message.SerializeToArray(block->data(), static_cast<int>(size)));
  block->set_used(size);
  Slices question;
  const char* data = block->data();
  question.append(Slice(std::move(block), data, size));
  return question;
}

CheckAnswer GrpcService::read_answer(std::string_view bytes, Arena& arena) {
  google::protobuf::Arena memory;
  auto& response = *google::protobuf::Arena::CreateMessage<auth::CheckResponse>(&memory);
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return {};
  CheckAnswer answer;
  HeaderReader reader(arena);
  if (response.has_error_response()) {
    answer.says_reply = response.error_response().has_status();
    return reader.read_reply(response.error_response(), answer) ? answer : CheckAnswer{};
  }
  answer.verdict = response.status().code() == 0 ? Verdict::kAllowed : Verdict::kDenied;
  const bool allowed = answer.verdict == Verdict::kAllowed;
  // What is not said is not there: a denial without a response of its own is a 403.
  if (!(allowed ? reader.read_request(response.ok_response(), answer)
                : reader.read_reply(response.denied_response(), answer))) {
    return {};
  }
  const bool older = !response.has_dynamic_metadata() && response.ok_response().has_dynamic_metadata();
  if (response.has_dynamic_metadata() || older) {
    answer.metadata_struct = arena.make<stream::Value>(
        stream::read_struct(older ? response.ok_response().dynamic_metadata() : response.dynamic_metadata(), arena));
  }
  return answer;
}

}  // namespace weir::filters::ext_authz
