#include "core/proxy/mirror.h"

#include "core/route/host_index.h"
#include "core/upstream/destination.h"

namespace weir::proxy {

using http::HeaderId;

namespace {

// "a.example:80" is told apart as "a.example-shadow:80".
void copy_head(const route::Mirror& policy, const stream::LogSubject& subject, http::HeaderMap& head, Arena& arena) {
  if (policy.mutations.empty()) {
    subject.request->copy_to(head);
  } else {
    // What mutations add are views of the route table, which the mirror may outlive.
    http::HeaderMap changed(arena);
    subject.request->copy_views_to(changed);
    for (const route::HeaderMutationStep& mutation : policy.mutations) mutation.apply(changed, subject, arena);
    changed.copy_to(head);
  }
  if (!policy.host.empty()) {
    head.set(HeaderId::kAuthority, arena.copy(policy.host));
    return;
  }
  if (policy.keeps_host) return;
  const std::string_view host = head.authority();
  const size_t port = host.size() - route::without_port(host).size();
  head.set(HeaderId::kAuthority,
           arena.concat(host.substr(0, host.size() - port), "-shadow", host.substr(host.size() - port)));
}

// Where hosts are found by what requests ask for, a copy goes where its request would: "-shadow" is for who reads it.
void ask_for_host(const route::Mirror& policy, const stream::LogSubject& subject, HeadlessStream& mirror) {
  const upstream::ClusterSpec& cluster = mirror.cluster();
  if (const upstream::OriginalDestination* original = cluster.original.get()) {
    const net::Address wanted = upstream::find_destination(*original, subject.info, subject.request);
    char text[net::Address::kMaxText];
    if (!wanted.empty()) mirror.ask_for(wanted.to_text(text));
  } else if (!cluster.dns_cache.empty()) {
    mirror.ask_for(!policy.host.empty() ? std::string_view(policy.host) : subject.request->authority());
  }
}

}  // namespace

HeadlessStream* start_mirror(event::Lane& lane, const route::Mirror& policy, const stream::LogSubject& subject,
                             bool end, Duration timeout, uint32_t buffer_limit) {
  upstream::LaneClusters& clusters = upstream::LaneClusters::of(lane);
  upstream::ClusterLocal* cluster = policy.header != nullptr
                                        ? clusters.find_by_name(subject.request->get(*policy.header))
                                        : clusters.find(policy.slot);
  HeadlessFailure failure;
  HeadlessStream* mirror = HeadlessStream::open(lane, cluster, {timeout, buffer_limit, subject.info.protocol}, failure);
  if (mirror == nullptr) return nullptr;
  copy_head(policy, subject, mirror->request_headers(), mirror->arena());
  ask_for_host(policy, subject, *mirror);
  return mirror->start(nullptr, end) == HeadlessFailure::kNone ? mirror : nullptr;
}

}  // namespace weir::proxy
