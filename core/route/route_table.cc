#include "core/route/route_table.h"

#include <algorithm>

#include "core/route/route_builder.h"

namespace weir::route {

Result<std::unique_ptr<RouteTable>> RouteTable::build(RouteTableSpec spec, const ResolveCluster& resolve,
                                                      std::vector<BuildError>* errors, stats::Store* store) {
  ErrorSink sink;
  RouteBuilder builder(resolve, sink, store);
  std::unique_ptr<RouteTable> table = builder.build(std::move(spec));
  std::vector<BuildError> found = sink.take();
  if (found.empty()) return table;
  std::string message = found[0].path + ": " + found[0].message;
  if (found.size() > 1) message += " (and " + std::to_string(found.size() - 1) + " more)";
  if (errors != nullptr) *errors = std::move(found);
  return invalid(message);
}

const VirtualHost* RouteTable::find_virtual_host(const http::HeaderMap& request) const noexcept {
  std::string_view host;
  if (vhost_header_ != nullptr) {
    host = request.get(*vhost_header_);
    if (host.empty()) return nullptr;
  } else {
    host = request.authority();
  }
  if (ignore_port_) host = without_port(host);
  const uint32_t index = hosts_.find(host, [this](uint32_t likely) { virtual_hosts_[likely].prefetch(any_index_); });
  return index != HostIndex::kNone ? &virtual_hosts_[index] : nullptr;
}

FoundRoute RouteTable::find_route(const VirtualHost& host, const http::HeaderMap& request,
                                  const SelectInput& input) const noexcept {
  RequestPath path = split_path(request, ignore_path_parameters_);
  if (host.indexed_) return host.paths_->find(host.routes_, path, request, input);
  if (host.matcher_ != nullptr) [[unlikely]] {
    static const stream::StreamInfo kNothing;
    const match::Facts facts{.info = input.info != nullptr ? input.info : &kNothing, .request_headers = &request};
    const match::Tree::Result found = host.matcher_->evaluate(facts);
    if (!found.matched()) return {};
    for (uint32_t i = host.parts_[found.action].first; i < host.parts_[found.action].last; ++i) {
      if (host.routes_[i].matches(path, request, input)) return {&host.routes_[i], host.routes_[i].plain()};
    }
    return {};
  }
  for (const Route& route : host.routes_) {
    if (route.matches(path, request, input)) return {&route, route.plain()};
  }
  return {};
}

Selection RouteTable::select(const http::HeaderMap& request, const SelectInput& input) const noexcept {
  Selection selection;
  selection.table = this;
  selection.mutates = mutations_ != nullptr;
  selection.virtual_host = find_virtual_host(request);
  if (selection.virtual_host == nullptr) return selection;
  const VirtualHost& host = *selection.virtual_host;
  selection.mutates |= host.mutations_ != nullptr;
  if (host.require_tls_ != TlsRequirement::kNone && !input.is_tls) [[unlikely]] {
    selection.tls_required = host.require_tls_ == TlsRequirement::kAll || !input.is_internal;
    if (selection.tls_required) return selection;
  }
  const FoundRoute found = find_route(host, request, input);
  selection.route = found.route;
  selection.plain = found.plain;
  if (!host.virtual_clusters_.empty()) [[unlikely]] {
    const auto matches = [&](const VirtualCluster& each) {
      return std::all_of(each.headers.begin(), each.headers.end(),
                         [&](const match::HeaderMatcher& header) { return header.matches(request); });
    };
    selection.virtual_cluster =
        &*std::find_if(host.virtual_clusters_.begin(), host.virtual_clusters_.end() - 1, matches);
  }
  if (found.route == nullptr || found.plain) return selection;
  selection.mutates |= found.route->mutations() != nullptr;
  if (found.route->action() == ActionKind::kForward) {
    const ForwardAction& action = found.route->forward();
    if (action.specified()) [[unlikely]] {
      selection.weighted = action.specify(request, input.info);
    } else {
      std::optional<uint64_t> hash;
      if (action.weighs_by_hash() && input.info != nullptr && input.arena != nullptr) [[unlikely]]
        hash = action.hash_policies()->hash(request, *input.info, *input.arena, nullptr);
      selection.weighted = action.pick_weighted(request, input.random, input.slots, hash);
    }
    selection.mutates |= selection.weighted != nullptr && selection.weighted->mutations != nullptr;
  }
  return selection;
}

size_t RouteTable::route_count() const {
  size_t count = 0;
  for (const VirtualHost& host : virtual_hosts_) count += host.routes_.size();
  return count;
}

namespace {

// The levels from the most to the least specific; absent ones are null.
struct Levels {
  const Mutations* level[4];
};
Levels levels_of(const Selection& selection) {
  return {{selection.weighted != nullptr ? selection.weighted->mutations.get() : nullptr,
           selection.route != nullptr ? selection.route->mutations() : nullptr,
           selection.virtual_host != nullptr ? selection.virtual_host->mutations() : nullptr,
           selection.table != nullptr ? selection.table->mutations() : nullptr}};
}

// As published: the most specific level is applied first, so that the least specific has the last word, unless
// most_specific_header_mutations_wins turns it round.
void apply_levels(const Selection& selection, HeaderMutations Mutations::*direction, http::HeaderMap& headers,
                  const stream::LogSubject& subject, Arena& arena) {
  Levels levels = levels_of(selection);
  const bool turned = selection.table != nullptr && selection.table->most_specific_header_mutations_wins();
  for (int i = 0; i < 4; ++i) {
    const Mutations* mutations = levels.level[turned ? 3 - i : i];
    if (mutations != nullptr) (mutations->*direction).apply(headers, subject, arena);
  }
}

}  // namespace

void Selection::apply_request_mutations(http::HeaderMap& headers, const stream::LogSubject& subject,
                                        Arena& arena) const {
  if (mutates) [[unlikely]]
    apply_levels(*this, &Mutations::request, headers, subject, arena);
}

void Selection::apply_response_mutations(http::HeaderMap& headers, const stream::LogSubject& subject,
                                         Arena& arena) const {
  if (mutates) [[unlikely]]
    apply_levels(*this, &Mutations::response, headers, subject, arena);
}

}  // namespace weir::route
