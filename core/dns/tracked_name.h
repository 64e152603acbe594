// A name whose addresses somebody wants to know all the time: asked for again and again, the last good answer kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/dns/refresh.h"
#include "core/dns/resolver.h"

namespace weir::dns {

// [main] The observer outlives it, and does not destroy it while it is told something.
class TrackedName final : private Lookup, private event::Timer {
 public:
  class Observer {
   public:
    virtual void on_asking(const TrackedName& name) = 0;
    // `changed`: addresses() is another list than before; their order does not count. An answer without one family
    // is a failure if that family's old addresses stay; then it has Answer::unanswered.
    virtual void on_answer(const TrackedName& name, const Answer& answer, bool changed) = 0;

   protected:
    ~Observer() = default;
  };
  // kReplace: an answer without addresses is believed. kKeep: there is always the last address.
  enum class OnNone : uint8_t { kReplace, kKeep };

  TrackedName(event::Lane& lane, std::shared_ptr<Resolver> resolver, std::string name, FamilyPolicy policy,
              const RefreshPlan& plan, OnNone on_none, Observer& observer)
      : lane_(lane),
        resolver_(std::move(resolver)),
        name_(std::move(name)),
        policy_(policy),
        on_none_(on_none),
        refresh_(plan),
        observer_(observer) {}

  const std::string& name() const { return name_; }
  // Asks, now and from now on.
  void start() { on_timer(); }
  // What somebody else was told of the same name.
  void adopt(const TrackedName& other);

  // Of the last answer that counts, sorted.
  const std::vector<net::Address>& addresses() const { return addresses_; }
  // In the order in which the server named them.
  const std::vector<net::Address>& in_order() const { return in_order_; }
  // Attempts without a complete answer since there was one.
  uint32_t failures() const { return failures_; }
  // The answer before the one that is told just now (or the last one) was that there is no address.
  bool was_none() const { return was_none_; }
  // There was an answer, or the first attempt has failed.
  bool settled() const { return settled_; }

 private:
  void on_timer() override;
  void on_answer(const Answer& answer) override;
  // With what stays of the last good answer where nobody answered for a family.
  Answer completed(Answer answer) const;

  event::Lane& lane_;
  const std::shared_ptr<Resolver> resolver_;
  const std::string name_;
  const FamilyPolicy policy_;
  const OnNone on_none_;
  Refresh refresh_;
  Observer& observer_;
  std::vector<net::Address> addresses_, in_order_;
  bool settled_ = false;
  bool was_none_ = false;
  uint32_t failures_ = 0;
};

}  // namespace weir::dns
