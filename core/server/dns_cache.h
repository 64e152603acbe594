// Names that requests bring, resolved and kept as long as somebody uses them (DnsCacheConfig). Clusters of the type
// dynamic_forward_proxy have the hosts of one; ClusterManager publishes them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/cluster_config.h"
#include "core/config/dns_config.h"
#include "core/dns/tracked_name.h"
#include "core/stats/store.h"
#include "core/upstream/name_lookup.h"

namespace weir::server {

// [main]
class DnsCache final : private event::Timer {
 public:
  using Answer = upstream::NameService::Answer;
  class Owner {
   public:
    // A name has other addresses than before, or there are other names. Never while the cache is called.
    virtual void on_names(DnsCache& cache) = 0;
    // Answers when every lane has the hosts of the names that are known now.
    virtual void when_published(std::vector<Answer> answers) = 0;
    // How much the hosts of each name (lb::name_key()) have been used so far: a number that changes with every use, and
    // UINT64_MAX while they are in use.
    virtual std::map<std::string, uint64_t> uses(const DnsCache& cache) = 0;

   protected:
    ~Owner() = default;
  };

  DnsCache(event::Lane& lane, dns::ResolverSource& resolvers, stats::Store& store, const config::DnsCacheSpec& spec,
           Owner& owner);
  // Who still waits hears that there is no answer.
  ~DnsCache() override;

  const config::DnsCacheSpec& spec() const { return spec_; }
  // What another version knows of the same names, if it asks the same servers the same thing; and, whatever it asks,
  // those who wait for it: start() asks for them again.
  void adopt(DnsCache& before);
  void start();

  void find(std::string_view host, uint16_t port, Answer answer);
  // One for each name, or (`by_address`) for each address of each.
  std::vector<config::EndpointSpec> endpoints(bool by_address, const net::AddressOrder& order) const;
  size_t size() const { return names_.size(); }

 private:
  class Name;
  // Behind a turn in which names ended.
  class Burial final : public event::Timer {
   public:
    explicit Burial(DnsCache& owner) : owner_(owner) {}
    void on_timer() override;

   private:
    DnsCache& owner_;
  };
  struct Stats {
    Stats(stats::Store& store, const std::string& name);
    stats::Counter query_attempt, query_success, query_failure, query_timeout, address_changed, added, removed,
        overflow, pending_overflow;
    stats::Gauge hosts, pending_open;
    std::shared_ptr<stats::Group> group;
  };

  Name& add(const std::string& key, const std::string& host, uint16_t port);
  void remove(const std::string& key);
  // Makes room for another one, of those that have no address and that nobody waits for.
  bool evict_one();
  void on_timer() override;
  void show_pending();

  event::Lane& lane_;
  const config::DnsCacheSpec spec_;
  const std::shared_ptr<dns::Resolver> resolver_;
  const Stats stats_;
  Owner& owner_;
  std::map<std::string, std::unique_ptr<Name>> names_;  // by lb::name_key()
  // Of those that are over, until the turn is: one may be what is being told.
  std::vector<std::unique_ptr<Name>> gone_;
  Burial burial_{*this};
  size_t waiting_ = 0;
};

}  // namespace weir::server
