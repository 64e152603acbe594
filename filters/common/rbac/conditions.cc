#include "filters/common/rbac/conditions.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "core/stream/metadata.h"

namespace weir::filters::rbac {
namespace {

struct Ask {
  const match::Facts& facts;
  const bool lets_in;
  const stream::StreamInfo& info = *facts.info;

  bool operator()(const Condition::Always&) const { return true; }
  bool operator()(const Condition::Every& every) const {
    return std::all_of(every.of.begin(), every.of.end(),
                       [&](const Condition& one) { return one.holds(facts, lets_in); });
  }
  bool operator()(const Condition::Some& some) const {
    return std::any_of(some.of.begin(), some.of.end(), [&](const Condition& one) { return one.holds(facts, lets_in); });
  }
  bool operator()(const Condition::Not& none) const { return !none.of.front().holds(facts, !lets_in); }
  bool operator()(const Condition::AddressIn& in) const {
    using enum Condition::AddressIn::Of;
    switch (in.which) {
      case kDestination:
        return in.ranges.contains(info.downstream_local);
      case kRemote:
        return in.ranges.contains(info.downstream_remote);
      case kConnectionRemote:
        return in.ranges.contains(info.connection_remote != nullptr ? *info.connection_remote
                                                                    : info.downstream_direct_remote);
      case kDirectRemote:
        return in.ranges.contains(info.downstream_direct_remote);
    }
    return false;
  }
  bool operator()(const Condition::DestinationPortIn& in) const {
    if (!info.downstream_local.is_ip()) return false;
    int64_t port = info.downstream_local.port();
    return port >= in.first && port < in.end;
  }
  bool operator()(const Condition::MetadataIs& is) const {
    if (is.of_route) return is.value.matches(info.route_metadata);
    return is.value.matches(info.metadata != nullptr ? &info.metadata->root() : nullptr);
  }
  bool operator()(const Condition::ServerName& server) const { return server.name.matches(info.requested_server_name); }
  // As published: the URIs of the certificate, without any its DNS names, without those its subject.
  bool operator()(const Condition::Authenticated& who) const {
    net::TransportFacts* tls = info.tls;
    if (tls == nullptr || !tls->presented()) return false;
    if (!who.name) return true;
    const auto any = [&](std::span<const std::string_view> names) {
      return std::any_of(names.begin(), names.end(), [&](std::string_view one) { return who.name->matches(one); });
    };
    for (net::NameKind kind : {net::NameKind::kUri, net::NameKind::kDns}) {
      const auto& names = tls->names(net::End::kPeer, kind);
      if (!names.each.empty()) return any(names.each);
    }
    return who.name->matches(tls->certificate(net::End::kPeer, net::CertificateFact::kSubject));
  }
  bool operator()(const Condition::UrlTemplate& url) const {
    std::string_view path = facts.request_headers->path();
    return url.path.matches(path.substr(0, path.find_first_of("?#")));
  }
  bool operator()(const match::HeaderMatcher& header) const {
    using enum match::HeaderMatcher::Values;
    return header.matches(*facts.request_headers, lets_in ? kEvery : kSome);
  }
  bool operator()(const match::PathMatcher& path) const { return path.matches(facts.request_headers->path()); }
  bool operator()(const match::FilterStateMatcher& object) const { return object.matches(info); }
};

}  // namespace

bool Condition::holds(const match::Facts& facts, bool lets_in) const noexcept {
  return std::visit(Ask{facts, lets_in}, what);
}

}  // namespace weir::filters::rbac
