// The router's half about what hosts are chosen by, and what stands between it and them.
#include "core/proxy/auto_names.h"
#include "core/proxy/enabled_filters.h"
#include "core/proxy/lane_proxy.h"
#include "core/proxy/router.h"
#include "core/upstream/destination.h"

namespace weir::proxy {

using http::HeaderId;

void Router::choose_hash(const route::HashPolicies& policies) {
  const auto hash = policies.hash(stream_->request_headers(), stream_->info(), stream_->arena(), &new_cookies_);
  if (!hash) return;
  hash_ = *hash;
  has_hash_ = true;
}

// Where an ORIGINAL_DST cluster is to go. Of a name, what the filter that has resolved it says; else what the request
// does, whose name may be known all the same.
void Router::choose_name() {
  if (const upstream::OriginalDestination* original = cluster_pin_->spec.original.get()) {
    const net::Address wanted = upstream::find_destination(*original, stream_->info(), &stream_->request_headers());
    char text[net::Address::kMaxText];
    if (!wanted.empty()) name_ = stream_->arena().copy(wanted.to_text(text));
    return;
  }
  if (const void* wanted = stream_->shared(&upstream::kWantedNameKey)) {
    name_ = static_cast<const upstream::WantedName*>(wanted)->key;
    return;
  }
  upstream::WantedName name;
  const uint16_t port = cluster_pin_->spec.transports.encrypts ? 443 : 80;
  if (upstream::read_wanted_name(stream_->request_headers().authority(), port, stream_->arena(), name))
    name_ = name.key;
}

// What filters say of the connection and of the request counts more, the latter most.
void Router::choose_match(const route::Selection& selection) {
  Arena& arena = stream_->arena();
  const stream::StreamInfo& info = stream_->info();
  match_ = selection.route->forward().metadata_match(selection.weighted);
  const stream::Metadata* of_connection = info.connection != nullptr ? info.connection->metadata() : nullptr;
  for (const stream::Metadata* metadata : {of_connection, static_cast<const stream::Metadata*>(info.metadata)}) {
    const stream::Value* space = metadata != nullptr ? metadata->find("envoy.lb") : nullptr;
    if (space == nullptr || space->kind() != stream::Value::Kind::kStruct) continue;
    const stream::Value own = copy_into(*space, arena);  // that one may change
    match_ = arena.make<stream::Value>(match_ != nullptr ? stream::with_members(*match_, own, arena) : own);
  }
}

const filter::UpstreamTransportOptions* Router::make_transport_options(const upstream::ClusterSpec& spec,
                                                                       const http::HeaderMap& headers,
                                                                       std::string_view name) {
  Arena& arena = stream_->arena();
  auto* options = arena.make<filter::UpstreamTransportOptions>(names_of(spec.auto_names, headers, name, arena));
  if (spec.transports.tells_client) options->client = client_of(stream_->info(), client_);
  return options;
}

const filter::UpstreamTransportOptions* Router::transport_options_of(const upstream::ClusterSpec& spec) {
  if (!spec.auto_names.server_name && !spec.auto_names.validation && !spec.transports.tells_client) return nullptr;
  const http::HeaderMap& headers = stream_->request_headers();
  return make_transport_options(spec, headers,
                                spec.auto_names.header ? headers.get(*spec.auto_names.header) : std::string_view());
}

// --- Filters on the way to upstreams -------------------------------------------------------------------------------

UpstreamChain* Router::make_chain(Attempt& attempt, upstream::UpstreamStream& upstream) {
  return LaneProxy::of(lane()).chains().make(*this, attempt, *stream_, upstream, *upstream_filters_,
                                             enabled_filters(*upstream_filters_, host_->selection().filter_configs()));
}

void Router::answer_for_filter(const http::HeaderMap& answer, std::string_view details, std::string_view body) {
  if (over()) return;
  done_ = true;
  abandon_attempts();
  stream_->reply_local(
      answer.status_code(), details, body,
      [](http::HeaderMap& reply, filter::Stream&, const void* user) {
        static_cast<const http::HeaderMap*>(user)->for_each([&](const http::HeaderEntry& entry) {
          if (entry.id != HeaderId::kStatus && entry.id != HeaderId::kContentLength)
            reply.add(entry.id, entry.name(), entry.value());
        });
      },
      &answer);
}

}  // namespace weir::proxy
