#include "core/server/dns_members.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/base/log.h"

namespace weir::server {

using dns::TrackedName;

DnsMembers::DnsMembers(event::Lane& lane, dns::ResolverSource& resolvers,
                       std::shared_ptr<const config::ClusterTranslation> from,
                       std::shared_ptr<upstream::ClusterStats> stats, Owner& owner)
    : from_(std::move(from)), stats_(std::move(stats)), owner_(owner) {
  const config::DnsSpec& dns = *from_->dns;
  TrackedName::Observer& observer = *this;
  const std::shared_ptr<dns::Resolver> resolver = resolvers.get(dns.resolver);
  std::unordered_map<std::string_view, size_t> known;
  for (const config::EndpointSpec& endpoint : from_->endpoints) {
    const auto [at, fresh] = known.try_emplace(endpoint.name, names_.size());
    name_of_.push_back(at->second);
    if (!fresh) continue;
    names_.push_back(std::make_unique<TrackedName>(
        lane, resolver, endpoint.name, dns.family, dns.refresh,
        dns.logical ? TrackedName::OnNone::kKeep : TrackedName::OnNone::kReplace, observer));
  }
}

void DnsMembers::adopt(const DnsMembers& before) {
  const config::DnsSpec& was = *before.from_->dns;
  if (was.family != from_->dns->family || was.resolver != from_->dns->resolver) return;
  std::unordered_map<std::string_view, const TrackedName*> known;
  for (const auto& name : before.names_) known.emplace(name->name(), name.get());
  for (const auto& name : names_) {
    const auto at = known.find(name->name());
    if (at != known.end()) name->adopt(*at->second);
  }
  was_settled_ = settled();
  if (from_->dns->logical) shown_ = names_.front()->in_order();
}

void DnsMembers::start() {
  for (const auto& name : names_) name->start();
}

bool DnsMembers::settled() const {
  return std::all_of(names_.begin(), names_.end(), [](const auto& name) { return name->settled(); });
}

size_t DnsMembers::count() const {
  size_t count = 0;
  for (const size_t name : name_of_) {
    const size_t addresses = names_[name]->addresses().size();
    count += from_->dns->logical ? std::min<size_t>(addresses, 1) : addresses;
  }
  return count;
}

std::vector<config::EndpointSpec> DnsMembers::endpoints() const {
  std::vector<config::EndpointSpec> out;
  for (size_t i = 0; i < name_of_.size(); ++i) {
    const config::EndpointSpec& from = from_->endpoints[i];
    const TrackedName& name = *names_[name_of_[i]];
    if (from_->dns->logical) {
      if (name.in_order().empty()) continue;
      config::EndpointSpec& endpoint = out.emplace_back(from);
      endpoint.addresses = net::in_turn(name.in_order(), from_->order, kLogicalAddresses);
      for (net::Address& address : endpoint.addresses) address.set_port(from.port);
      endpoint.address = endpoint.addresses.front();
      continue;
    }
    for (const net::Address& address : name.addresses()) {
      config::EndpointSpec& endpoint = out.emplace_back(from);
      endpoint.address = address;
      endpoint.address.set_port(from.port);
    }
  }
  return out;
}

void DnsMembers::on_asking(const TrackedName&) { stats_->update_attempt.inc(); }

void DnsMembers::on_answer(const TrackedName& name, const dns::Answer& answer, bool changed) {
  if (answer.complete()) {
    stats_->update_success.inc();
    if (answer.addresses.empty()) stats_->update_empty.inc();
  } else {
    stats_->update_failure.inc();
  }
  // Once for each time that it begins.
  if (name.failures() == 1 || (answer.outcome == dns::Outcome::kNone && !name.was_none())) {
    const dns::Outcome outcome = answer.unanswered.has_value() ? answer.unanswered->outcome : answer.outcome;
    WEIR_LOG(kWarning, "upstream", "cluster %s: %s: %s%s", from_->spec.name.c_str(), name.name().c_str(),
             std::string(dns::outcome_name(outcome)).c_str(),
             name.addresses().empty() ? "" : "; the addresses that it had stay");
  }
  if (from_->dns->logical) changed = std::exchange(shown_, name.in_order()) != name.in_order();
  if (answer.complete() && !changed) stats_->update_no_rebuild.inc();
  const bool first = !std::exchange(was_settled_, settled()) && was_settled_;
  if (changed || first) owner_.on_members(*this);
}

}  // namespace weir::server
