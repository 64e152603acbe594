// What the connections of a pool are made of, and its variants for requests that want something else of them.
#include <algorithm>

#include "core/stream/added_tlv.h"
#include "core/upstream/lane_clusters.h"
#include "core/upstream/pool.h"

namespace weir::upstream {

std::unique_ptr<net::Transport> ConnPool::make_transport(const Cluster& cluster, HttpProtocol protocol,
                                                         event::Pin<filter::UpstreamTransport>& pin, Slices& first,
                                                         bool& possible) {
  const ClusterTransports& transports = cluster.spec.transports;
  if (transports.matches.empty() && !transports.otherwise) [[likely]]
    return nullptr;
  const std::optional<event::SlotId>& slot = transports.of(metadata_.get());
  if (!slot) return nullptr;
  pin = lane_.slots().pin<filter::UpstreamTransport>(*slot);
  possible = static_cast<bool>(pin);  // never in plain text instead
  if (!possible) return nullptr;
  filter::UpstreamTransportOptions options;
  if (names_ != nullptr)
    options = {.server_name = names_->server_name,
               .expected_names = names_->expected,
               .offered = names_->offered,
               .client = names_->client.get()};
  if (metadata_ != nullptr) options.host_tlvs = metadata_->tlvs();
  static constexpr std::string_view kProtocols[] = {"h2", "http/1.1"};
  if (protocol == HttpProtocol::kHttp2) options.protocols = {kProtocols, 1};
  if (protocol == HttpProtocol::kAuto) options.protocols = kProtocols;
  return pin->make(lane_, host_->hostname(), options, first);
}

namespace {

uint64_t tlvs_of(const stream::StaticMetadata* host) {
  return host != nullptr && host->tlvs() != nullptr ? host->tlvs()->fingerprint : 0;
}

// Connections to a host with such metadata begin otherwise: by another transport, or with another PROXY header.
bool begins_otherwise(const ClusterTransports& transports, const stream::StaticMetadata* before,
                      const stream::StaticMetadata* now) {
  return (!transports.matches.empty() && transports.of(before) != transports.of(now)) ||
         (transports.tells_client && tlvs_of(before) != tlvs_of(now));
}

}  // namespace

void ConnPool::set_entry(const lb::HostEntry& entry) {
  const Cluster* cluster = cluster_.current();
  const bool other = metadata_ != entry.metadata && cluster != nullptr && connections_ > 0 &&
                     begins_otherwise(cluster->spec.transports, metadata_.get(), entry.metadata.get());
  metadata_ = entry.metadata;
  canary_ = metadata_ != nullptr && lb::is_canary(metadata_->root());
  race_.set_addresses(entry.addresses);
  if (other) retire_connections();
  if (variants_ == nullptr) return;
  for (auto& [key, pool] : variants_->pools) pool->set_entry(entry);
}

namespace {

// In the room that this thread keeps for one, until it is called again: a variant is looked for with every request.
const std::string& key_of(const filter::UpstreamTransportOptions& options, Speaks speaks) {
  thread_local std::string key;
  key.assign(1, static_cast<char>('0' + static_cast<int>(speaks)));
  key += options.server_name;
  for (std::string_view name : options.expected_names) (key += '\0') += name;
  for (std::string_view name : options.offered) (key += '\1') += name;
  if (options.client != nullptr) {
    char text[net::Address::kMaxText];
    for (const net::Address* address : {&options.client->source, &options.client->destination})
      key.append(2, '\0').append(address->to_text(text));
    (key += '\0') += options.client->tlvs;
  }
  return key;
}

}  // namespace

ConnPool::Names::Names(const filter::UpstreamTransportOptions& options, Speaks speaks)
    : server_name(options.server_name),
      texts(options.expected_names.begin(), options.expected_names.end()),
      expected(texts.begin(), texts.end()),
      protocols(options.offered.begin(), options.offered.end()),
      offered(protocols.begin(), protocols.end()),
      client(options.client != nullptr ? std::make_unique<const stream::ProxyHeader>(*options.client) : nullptr),
      speaks(speaks),
      key(key_of(options, speaks)) {}

HttpProtocol ConnPool::protocol_on(const Cluster& cluster) const {
  const HttpProtocol configured = cluster.spec.protocol;
  switch (names_ != nullptr ? names_->speaks : Speaks::kAsConfigured) {
    case Speaks::kHttp1:
    case Speaks::kRaw:
      return HttpProtocol::kHttp1;
    case Speaks::kHttp2:
      return HttpProtocol::kHttp2;
    default:
      return configured == HttpProtocol::kDownstream ? HttpProtocol::kHttp1 : configured;
  }
}

ConnPool& ConnPool::find_variant(const filter::UpstreamTransportOptions& options, Speaks speaks) {
  if (variants_ == nullptr) variants_ = std::make_unique<Variants>();
  auto [at, fresh] = variants_->pools.try_emplace(key_of(options, speaks));
  if (fresh) {
    auto pool = std::make_unique<ConnPool>(lane_, cluster_, host_);
    pool->names_ = std::make_unique<const Names>(options, speaks);
    pool->base_ = this;
    pool->metadata_ = metadata_;
    pool->canary_ = canary_;
    pool->race_.set_addresses(race_.addresses());
    at->second = std::move(pool);
  }
  ConnPool& found = *at->second;
  found.place_ = place_;
  // Names come from requests: what nobody uses any more goes, also if it has never had a connection.
  if (fresh && variants_->pools.size() > variants_->sweep_at) {
    std::erase_if(variants_->pools, [&](const auto& one) { return one.second.get() != &found && one.second->empty(); });
    variants_->sweep_at = std::max<size_t>(16, 2 * variants_->pools.size());
  }
  return found;
}

bool ConnPool::empty_with_variants() const {
  return empty() && (variants_ == nullptr || std::all_of(variants_->pools.begin(), variants_->pools.end(),
                                                         [](const auto& one) { return one.second->empty(); }));
}

void ConnPool::drop_variant(ConnPool& pool) {
  auto at = variants_->pools.find(pool.names_->key);
  if (at != variants_->pools.end() && at->second.get() == &pool) variants_->pools.erase(at);
}

}  // namespace weir::upstream
