#include "filters/http/ext_authz/http_service.h"

#include "core/http/chars.h"

namespace weir::filters::ext_authz {

using http::HeaderEntry;
using http::HeaderId;
using proxy::HeadlessFailure;
using proxy::HeadlessStream;

namespace {

struct Names {
  http::HeaderName headers_to_remove{"x-envoy-auth-headers-to-remove"};
  http::HeaderName original_method{"x-envoy-original-method"};
};
const Names& names() {
  static const Names kNames;
  return kNames;
}

// Without them there would be no request.
bool names_target(HeaderId id) {
  return id == HeaderId::kMethod || id == HeaderId::kPath || id == HeaderId::kAuthority;
}

class HttpClient final : public AuthzClient, private proxy::HeadlessCall, private event::Timer {
 public:
  explicit HttpClient(const HttpService& service) : service_(service) {}

  bool check(const CheckRequest& request, Caller& caller) override {
    stream_ = &request.stream;
    told_ = &request.told;
    caller_ = &caller;
    has_body_ = request.body != nullptr;
    partial_ = request.partial;
    if (has_body_) request.body->copy_refs_to(body_);
    const Duration timeout = service_.spec().timeout;
    if (timeout > Duration::zero()) deadline_ = stream_->lane().now() + timeout;
    const HeadlessFailure failure = attempt();
    return failure == HeadlessFailure::kNone || asks_again(proxy::retry_conditions(failure), false);
  }

 private:
  HeadlessFailure attempt() {
    event::Lane& lane = stream_->lane();
    upstream::LaneClusters* clusters = upstream::LaneClusters::find_on(lane);
    upstream::ClusterLocal* cluster = clusters != nullptr ? clusters->find(service_.spec().cluster) : nullptr;
    if (cluster == nullptr) return HeadlessFailure::kNoCluster;
    // The filter holds the body anyway, and bounds it.
    HeadlessStream::Options options{.buffer_limit = UINT32_MAX};
    if (deadline_ != MonoTime::max()) options.timeout = deadline_ - lane.now();
    HeadlessFailure failure;
    HeadlessStream* call = open(lane, cluster, options, cluster->current()->spec.buffer_limit, failure);
    if (call == nullptr) return failure;
    http::HeaderMap& head = call->request_headers();
    service_.write_head({*stream_, *told_, has_body_ ? &body_ : nullptr, partial_}, head);
    head.add(HeaderId::kScheme, call->cluster().transports.encrypts ? "https" : "http");
    Slices body;
    body_.copy_refs_to(body);
    return send(body);
  }

  // True: it will.
  bool asks_again(uint32_t conditions, bool unseen) {
    event::Lane& lane = stream_->lane();
    const HttpService::Spec& spec = service_.spec();
    const auto wait = attempts_.wait(spec.retries, lane, spec.cluster, conditions, deadline_ - lane.now(), unseen);
    if (!wait) return false;
    lane.arm_in(*this, *wait);
    return true;
  }

  void on_timer() override {
    if (deadline_ <= stream_->lane().now()) return caller_->on_checked({});
    const HeadlessFailure failure = attempt();
    if (failure != HeadlessFailure::kNone && !asks_again(proxy::retry_conditions(failure), false))
      caller_->on_checked({});
  }
  void on_response(const Response& response) override {
    if (asks_again(proxy::retry_conditions(response.headers), false)) return;
    attempts_.end(response.headers.status_code() < 500);
    caller_->on_checked(service_.read_response(response.headers, response.body, stream_->arena()));
  }
  void on_failure(HeadlessFailure failure) override {
    if (!asks_again(proxy::retry_conditions(failure), unseen())) caller_->on_checked({});
  }

  const HttpService& service_;
  filter::Stream* stream_ = nullptr;
  const Told* told_ = nullptr;
  Caller* caller_ = nullptr;
  Slices body_;
  MonoTime deadline_ = MonoTime::max();
  proxy::CallAttempts attempts_;
  bool has_body_ = false;
  bool partial_ = false;
};

}  // namespace

AuthzClient* HttpService::make_client(Arena& arena) const { return arena.make<HttpClient>(*this); }

void HttpService::write_head(const CheckRequest& request, http::HeaderMap& head) const {
  filter::Stream& stream = request.stream;
  Arena& arena = stream.arena();
  const http::HeaderMap& headers = stream.request_headers();
  const Told& told = request.told;
  // The service is asked about the tunnel, not for one.
  const bool asks_connect = headers.method() == "CONNECT";
  if (asks_connect) head.add(HeaderId::kPath, spec_.path_prefix.empty() ? std::string_view("/") : spec_.path_prefix);
  const NameList& allowed = told.allowed_headers.empty() ? spec_.allowed_headers : told.allowed_headers;
  headers.for_each([&](const HeaderEntry& entry) {
    if (entry.id == HeaderId::kMethod && asks_connect) {
      head.add(entry.id, "GET");
      head.add(names().original_method, entry.value());
      return;
    }
    if (names_target(entry.id)) {
      const bool prefixed = entry.id == HeaderId::kPath && !spec_.path_prefix.empty();
      head.add(entry.id, prefixed ? arena.concat(spec_.path_prefix, entry.value()) : entry.value());
      return;
    }
    if (is_pseudo(entry.name()) || frames_message(entry.id) || entry.name() == partial_body_header().text()) return;
    if (is_in(told.disallowed_headers, entry.name())) return;
    if (entry.id == HeaderId::kAuthorization || is_in(allowed, entry.name()))
      head.add(entry.id, entry.name(), entry.value());
  });
  const size_t length = request.body != nullptr ? request.body->size() : 0;
  head.add(HeaderId::kContentLength, arena.number(length));
  if (request.body != nullptr) head.add(partial_body_header(), request.partial ? "true" : "false");
  const stream::LogSubject subject{stream.info(), &headers};
  for (const stream::HeaderValue& each : spec_.headers_to_add) each.apply(head, subject, arena);
}

CheckAnswer HttpService::read_response(const http::HeaderMap& headers, const Slices& body, Arena& arena) const {
  CheckAnswer answer;
  const int status = headers.status_code();
  if (status >= 500) return answer;
  answer.verdict = status == 200 ? Verdict::kAllowed : Verdict::kDenied;
  const bool allowed = answer.verdict == Verdict::kAllowed;
  if (!allowed) {
    answer.status = status;
    answer.body = whole(body, arena);
  }
  // As published: without a list all of a denial's headers are the client's.
  const bool all_for_client = spec_.client.empty();
  const auto is_for_client = [&](const HeaderEntry& entry) {
    return all_for_client || entry.id == HeaderId::kWwwAuthenticate || entry.id == HeaderId::kLocation ||
           is_in(spec_.client, entry.name());
  };
  headers.for_each([&](const HeaderEntry& entry) {
    if (is_pseudo(entry.name()) || frames_message(entry.id) || entry.id == HeaderId::kHost) return;
    const std::string_view name = entry.name();
    if (name == names().headers_to_remove.text()) {
      if (!allowed) return;
      http::for_each_member(entry.value(), [&](std::string_view listed) {
        const http::HeaderName parsed(listed);
        if (parsed.id() == HeaderId::kHost || parsed.text().empty() || parsed.text().front() == ':') return;
        answer.request.remove.add(arena, arena.copy(parsed.text()), parsed.id(), {});
      });
      return;
    }
    std::string_view kept_name, kept_value;
    const auto keep = [&](Fields& in) {
      if (kept_name.empty()) {
        kept_name = entry.id != HeaderId::kNone ? http::name_of(entry.id) : arena.copy(name);
        kept_value = arena.copy_or_empty(entry.value());
      }
      in.add(arena, kept_name, entry.id, kept_value);
    };
    if (is_in(spec_.metadata, name)) keep(answer.metadata);
    if (!allowed) {
      if (is_for_client(entry)) keep(answer.reply);
      return;
    }
    if (is_in(spec_.upstream, name)) keep(answer.request.set);
    if (is_in(spec_.upstream_append, name)) keep(answer.request.add);
    if (is_in(spec_.client_on_success, name)) keep(answer.response.add);
  });
  return answer;
}

}  // namespace weir::filters::ext_authz
