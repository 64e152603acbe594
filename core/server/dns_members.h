// The endpoints of a cluster that are names, kept up to date: which addresses they have now. Main's; what it knows
// becomes a host set in ClusterManager.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/dns/tracked_name.h"
#include "core/net/address_order.h"
#include "core/upstream/cluster.h"

namespace weir::server {

// So many addresses of a logical host are tried before requests fail.
inline constexpr size_t kLogicalAddresses = 8;

// [main]
class DnsMembers final : private dns::TrackedName::Observer {
 public:
  class Owner {
   public:
    // The members are others than before, or they are known for the first time (or known to be unknown). Not while the
    // members are being made or started.
    virtual void on_members(DnsMembers& members) = 0;

   protected:
    ~Owner() = default;
  };

  // `from` has dns. Nothing is asked before start().
  DnsMembers(event::Lane& lane, dns::ResolverSource& resolvers, std::shared_ptr<const config::ClusterTranslation> from,
             std::shared_ptr<upstream::ClusterStats> stats, Owner& owner);

  // What another version of the cluster knows of the same names, if it asks the same servers the same thing.
  void adopt(const DnsMembers& before);
  void start();

  const config::ClusterTranslation& from() const { return *from_; }
  // Of strict members one for each address of each name, of a logical one that one with its addresses; names that have
  // none are left out.
  std::vector<config::EndpointSpec> endpoints() const;
  // How many those are.
  size_t count() const;
  // Every name has been answered once, or failed once.
  bool settled() const;
  // Whoever needs the cluster waits until it is settled.
  bool warms() const { return from_->dns->warms; }

 private:
  void on_asking(const dns::TrackedName& name) override;
  void on_answer(const dns::TrackedName& name, const dns::Answer& answer, bool changed) override;

  const std::shared_ptr<const config::ClusterTranslation> from_;
  const std::shared_ptr<upstream::ClusterStats> stats_;
  Owner& owner_;
  std::vector<std::unique_ptr<dns::TrackedName>> names_;  // each once
  std::vector<size_t> name_of_;                           // by endpoint
  std::vector<net::Address> shown_;                       // of a logical host
  bool was_settled_ = false;
};

}  // namespace weir::server
