#include "core/proxy/mirror.h"

#include "core/route/host_index.h"

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
  return mirror->start(nullptr, end) == HeadlessFailure::kNone ? mirror : nullptr;
}

}  // namespace weir::proxy
