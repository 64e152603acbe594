#include "core/dns/resolver.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/base/log.h"

namespace weir::dns {

using net::Family;

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kFound:
      return "found";
    case Outcome::kNone:
      return "no such name or address";
    case Outcome::kTimeout:
      return "no answer in time";
    case Outcome::kFailed:
      return "no server gave an answer";
  }
  return "";
}

ResolverStats::ResolverStats(stats::Store& store)
    : resolve_total(store.counter("dns.cares.resolve_total")),
      not_found(store.counter("dns.cares.not_found")),
      timeout(store.counter("dns.cares.timeout")),
      get_addr_failure(store.counter("dns.cares.get_addr_failure")),
      address_denied(store.counter("dns.cares.address_denied")),
      pending_resolutions(store.gauge("dns.cares.pending_resolutions")) {}

void Lookup::cancel() {
  for (Question::Waiting* one : {&v4_, &v6_}) {
    one->node.unlink();
    one->question.reset();
  }
  due_node_.unlink();
  known_.reset();
  active_ = false;
}

bool Lookup::decided() const {
  const auto done = [](const Question::Waiting& one) { return one.question == nullptr || one.question->done(); };
  const auto found = [&](const Question::Waiting& one) {
    return one.question != nullptr && one.question->done() && one.question->answer_.outcome == Outcome::kFound;
  };
  if (policy_ == FamilyPolicy::kAuto && found(v6_)) return true;
  if (policy_ == FamilyPolicy::kV4Preferred && found(v4_)) return true;
  return done(v4_) && done(v6_);
}

Answer Lookup::answer() const {
  if (known_ != nullptr) return *known_;
  const Question* v4 = v4_.question.get();
  const Question* v6 = v6_.question.get();
  if (v4 == nullptr) return v6->answer_;
  if (v6 == nullptr) return v4->answer_;
  const bool v4_found = v4->done() && v4->answer_.outcome == Outcome::kFound;
  const bool v6_found = v6->done() && v6->answer_.outcome == Outcome::kFound;
  if (v4_found && v6_found && policy_ == FamilyPolicy::kAll) {
    Answer both = v6->answer_;
    both.addresses.insert(both.addresses.end(), v4->answer_.addresses.begin(), v4->answer_.addresses.end());
    if (both.ttl.has_value() && v4->answer_.ttl.has_value()) {
      both.ttl = std::min(*both.ttl, *v4->answer_.ttl);
    } else if (!both.ttl.has_value()) {
      both.ttl = v4->answer_.ttl;
    }
    return both;
  }
  if (v4_found || v6_found) {
    const bool four = v4_found && (policy_ == FamilyPolicy::kV4Preferred || !v6_found);
    const Question& other = four ? *v6 : *v4;
    Answer one = (four ? v4 : v6)->answer_;
    if (other.done() && !other.answer_.answered()) one.unanswered = {other.family(), other.answer_.outcome};
    return one;
  }
  // That there is none is known only if both families say so: otherwise the address may be the one nobody told.
  return v4->answer_.answered() ? v6->answer_ : v4->answer_;
}

Resolver::~Resolver() {
  for (auto& [key, question] : open_) {
    while (Question::Waiting* one = question->waiting_.front()) one->lookup->cancel();
    stats_.pending_resolutions.dec();
  }
  while (Lookup* lookup = due_.front()) lookup->cancel();
}

void Resolver::resolve(std::string_view name, FamilyPolicy policy, Lookup& lookup) {
  WEIR_ASSERT(!lookup.active());
  lookup.active_ = true;
  lookup.policy_ = policy;
  if (auto literal = net::Address::from_ip(name, 0); literal.ok()) {
    lookup.known_ = std::make_unique<Answer>();
    const bool wanted = (policy != FamilyPolicy::kV4Only || literal->family() == Family::kIpv4) &&
                        (policy != FamilyPolicy::kV6Only || literal->family() == Family::kIpv6);
    lookup.known_->outcome = wanted ? Outcome::kFound : Outcome::kNone;
    if (wanted) lookup.known_->addresses.push_back(*literal);
    leave_out_denied(*lookup.known_, name);
    make_due(lookup);
    return;
  }
  // Both are there before one is asked, which may answer at once.
  std::shared_ptr<Question> fresh[2];
  if (policy != FamilyPolicy::kV4Only) fresh[0] = wait_for(name, Family::kIpv6, lookup, lookup.v6_);
  if (policy != FamilyPolicy::kV6Only) fresh[1] = wait_for(name, Family::kIpv4, lookup, lookup.v4_);
  for (const std::shared_ptr<Question>& question : fresh) {
    if (question == nullptr) continue;
    stats_.resolve_total.inc();
    stats_.pending_resolutions.inc();
    ask(question);
  }
}

std::shared_ptr<Question> Resolver::wait_for(std::string_view name, Family family, Lookup& lookup,
                                             Question::Waiting& waiting) {
  waiting.lookup = &lookup;
  auto [at, fresh] = open_.try_emplace(Key(name, family));
  if (fresh) at->second = std::make_shared<Question>(std::string(name), family);
  waiting.question = at->second;
  waiting.question->waiting_.push_back(waiting);
  return fresh ? at->second : nullptr;
}

void Resolver::answered(Question& question, Answer answer) {
  WEIR_ASSERT(!question.done_);
  leave_out_denied(answer, question.name_);
  switch (answer.outcome) {
    case Outcome::kFound:
      break;
    case Outcome::kNone:
      stats_.not_found.inc();
      break;
    case Outcome::kTimeout:
      stats_.timeout.inc();
      break;
    case Outcome::kFailed:
      stats_.get_addr_failure.inc();
      break;
  }
  stats_.pending_resolutions.dec();
  question.done_ = true;
  question.answer_ = std::move(answer);
  const auto at = open_.find(Key(question.name_, question.family_));
  const std::shared_ptr<Question> keep = at->second;
  open_.erase(at);
  while (Question::Waiting* one = question.waiting_.pop_front()) {
    Lookup& lookup = *one->lookup;
    if (lookup.decided() && !lookup.due_node_.linked()) make_due(lookup);
  }
}

void Resolver::leave_out_denied(Answer& answer, std::string_view name) {
  const size_t left_out =
      std::erase_if(answer.addresses, [this](const net::Address& address) { return !permits(address); });
  if (left_out == 0) return;
  stats_.address_denied.add(left_out);
  WEIR_LOG(kDebug, "upstream", "%.*s: %zu of its addresses may not be used", static_cast<int>(name.size()), name.data(),
           left_out);
  if (answer.addresses.empty() && answer.outcome == Outcome::kFound) answer.outcome = Outcome::kNone;
}

void Resolver::make_due(Lookup& lookup) {
  due_.push_back(lookup);
  if (!deliver_.armed()) lane_.arm(deliver_, lane_.now());
}

void Resolver::deliver() {
  // Those that ask again at once have their turn with the next.
  IntrusiveList<Lookup, &Lookup::due_node_> now;
  while (Lookup* lookup = due_.pop_front()) now.push_back(*lookup);
  while (Lookup* lookup = now.pop_front()) {
    const Answer answer = lookup->answer();
    lookup->cancel();
    lookup->on_answer(answer);
  }
}

}  // namespace weir::dns
