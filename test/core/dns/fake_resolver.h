// A resolver whose answers a test gives by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/dns/cares_resolver.h"
#include "core/dns/resolver.h"

namespace weir::test {

class FakeResolver final : public dns::Resolver {
 public:
  FakeResolver(event::Lane& lane, const dns::ResolverStats& stats) : Resolver(lane, stats) {}
  ~FakeResolver() override = default;

  // "name/4", "name/6" of everything that was asked and not answered yet, in order.
  std::vector<std::string> asked() const {
    std::vector<std::string> out;
    for (const auto& question : questions_) out.push_back(key(*question));
    return out;
  }
  size_t asked_ever() const { return ever_; }
  // To the first open question of this key. `ips`: kFound with these; none: kNone.
  void answer(const std::string& wanted, const std::vector<std::string>& ips, std::optional<Duration> ttl = {}) {
    dns::Answer answer;
    answer.outcome = ips.empty() ? dns::Outcome::kNone : dns::Outcome::kFound;
    for (const std::string& ip : ips) answer.addresses.push_back(*net::Address::from_ip(ip, 0));
    answer.ttl = ttl;
    give(wanted, std::move(answer));
  }
  void fail(const std::string& wanted, dns::Outcome outcome = dns::Outcome::kTimeout) {
    dns::Answer answer;
    answer.outcome = outcome;
    give(wanted, std::move(answer));
  }
  // Every question from now on is answered before ask() returns, with nothing.
  bool at_once = false;

 private:
  static std::string key(const dns::Question& question) {
    return question.name() + (question.family() == net::Family::kIpv4 ? "/4" : "/6");
  }
  void ask(const std::shared_ptr<dns::Question>& question) override {
    ++ever_;
    if (at_once) {
      dns::Answer none;
      none.outcome = dns::Outcome::kNone;
      answered(*question, std::move(none));
      return;
    }
    questions_.push_back(question);
  }
  void give(const std::string& wanted, dns::Answer answer) {
    for (auto at = questions_.begin(); at != questions_.end(); ++at) {
      if (key(**at) != wanted) continue;
      const std::shared_ptr<dns::Question> question = *at;
      questions_.erase(at);
      answered(*question, std::move(answer));
      return;
    }
    FAIL() << wanted << " was not asked";
  }

  std::vector<std::shared_ptr<dns::Question>> questions_;
  size_t ever_ = 0;
};

// The same one for whatever options.
class FakeResolvers final : public dns::ResolverSource {
 public:
  FakeResolvers(event::Lane& lane, stats::Store& store)
      : resolver_(std::make_shared<FakeResolver>(lane, dns::ResolverStats(store))) {}
  std::shared_ptr<dns::Resolver> get(const dns::ResolverOptions&) override { return resolver_; }
  FakeResolver* operator->() { return resolver_.get(); }
  FakeResolver& operator*() { return *resolver_; }
  std::shared_ptr<FakeResolver> shared() { return resolver_; }

 private:
  std::shared_ptr<FakeResolver> resolver_;
};

}  // namespace weir::test
