// Names to addresses, on main's lane: what does not depend on who asks the servers. Lookups of the same name share one
// question for each family, families are preferred as the policy says, and answers always come at a later turn.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/intrusive_list.h"
#include "core/dns/answer.h"
#include "core/event/lane.h"
#include "core/event/timer.h"
#include "core/stats/store.h"

namespace weir::dns {

class Lookup;
class Resolver;

// One name, one family: what a server is asked.
class Question {
 public:
  Question(std::string name, net::Family family) : name_(std::move(name)), family_(family) {}
  const std::string& name() const { return name_; }
  net::Family family() const { return family_; }  // kIpv4 or kIpv6

 private:
  friend class Lookup;
  friend class Resolver;
  // One lookup that waits for this. It may wait for the other family, too.
  struct Waiting {
    ListNode node;
    Lookup* lookup = nullptr;
    std::shared_ptr<Question> question;  // null: this family is not asked for
  };
  bool done() const { return done_; }

  const std::string name_;
  const net::Family family_;
  bool done_ = false;
  Answer answer_;
  IntrusiveList<Waiting, &Waiting::node> waiting_;
};

// Derive or embed. [main] The destructor cancels. A question goes on when nobody waits for it any more: who asks the
// same meanwhile joins it.
class Lookup {
 public:
  Lookup() = default;
  virtual ~Lookup() { cancel(); }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  bool active() const { return active_; }
  void cancel();

 protected:
  // Once for each resolve(), at a later turn; the lookup is not active any more and may be used again.
  virtual void on_answer(const Answer& answer) = 0;

 private:
  friend class Resolver;
  bool decided() const;
  Answer answer() const;

  Question::Waiting v4_, v6_;
  ListNode due_node_;
  FamilyPolicy policy_ = FamilyPolicy::kAuto;
  bool active_ = false;
  // Instead of questions, when the name is an address.
  std::unique_ptr<Answer> known_;
};

// The published statistics of the resolvers of a process, dns.cares.*; a question of one family counts as one.
struct ResolverStats {
  explicit ResolverStats(stats::Store& store);
  stats::Counter resolve_total, not_found, timeout, get_addr_failure;
  stats::Counter address_denied;  // weir's own
  stats::Gauge pending_resolutions;
};

// [main]
class Resolver {
 public:
  // More addresses of a family are left out: each may become a host, with statistics and pools.
  static constexpr size_t kMaxAddresses = 1000;

  Resolver(event::Lane& lane, const ResolverStats& stats) : lane_(lane), stats_(stats), deliver_(*this) {}
  virtual ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Begins; the lookup must not be active. Never calls it before the turn is over. A name that is an IP address is its
  // own answer, whatever the policy prefers.
  void resolve(std::string_view name, FamilyPolicy policy, Lookup& lookup);
  size_t pending() const { return open_.size(); }

 protected:
  // Asks; answered() follows, now or later, once.
  virtual void ask(const std::shared_ptr<Question>& question) = 0;
  void answered(Question& question, Answer answer);
  // Whether an address may be used, whoever says that it is that of a name. What is left out is counted.
  virtual bool permits(const net::Address&) const { return true; }
  event::Lane& lane() { return lane_; }

 private:
  class Deliver final : public event::Timer {
   public:
    explicit Deliver(Resolver& owner) : owner_(owner) {}
    void on_timer() override { owner_.deliver(); }

   private:
    Resolver& owner_;
  };
  using Key = std::pair<std::string, net::Family>;
  // What is to be asked now; nullptr: it has been.
  std::shared_ptr<Question> wait_for(std::string_view name, net::Family family, Lookup& lookup,
                                     Question::Waiting& waiting);
  void make_due(Lookup& lookup);
  void leave_out_denied(Answer& answer, std::string_view name);
  void deliver();

  event::Lane& lane_;
  const ResolverStats stats_;
  std::map<Key, std::shared_ptr<Question>> open_;
  IntrusiveList<Lookup, &Lookup::due_node_> due_;
  Deliver deliver_;
};

}  // namespace weir::dns
