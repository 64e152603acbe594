#include "core/match/log_filter.h"

#include <algorithm>
#include <charconv>

#include "core/stream/grpc_status.h"
#include "core/stream/metadata.h"

namespace weir::match {
namespace {

using event::Lane;
using stream::LogSubject;

// A filter that is one expression.
template <class Test>
class Simple final : public LogFilter {
 public:
  explicit Simple(Test test) : test_(std::move(test)) {}
  bool passes(const LogSubject& subject, Lane& lane) const noexcept override { return test_(subject, lane); }

 private:
  const Test test_;
};

template <class Test>
LogFilterPtr simple(Test test) {
  return std::make_unique<Simple<Test>>(std::move(test));
}

bool compare(Comparison comparison, uint64_t left, uint64_t right) {
  switch (comparison) {
    case Comparison::kEqual:
      return left == right;
    case Comparison::kAtLeast:
      return left >= right;
    case Comparison::kAtMost:
      return left <= right;
    case Comparison::kNotEqual:
      return left != right;
  }
  return false;
}

// The first 32 bits of a request id that is a UUID, which all proxies on its way agree about.
bool shared_random(const LogSubject& subject, uint64_t& random) {
  constexpr size_t kDigits = 8;
  if (subject.request == nullptr) return false;
  const std::string_view id = subject.request->get(http::HeaderId::kXRequestId);
  if (id.size() < kDigits) return false;
  const char* const last = id.data() + kDigits;
  const auto [end, error] = std::from_chars(id.data(), last, random, 16);
  return error == std::errc() && end == last;
}

class Filtered final : public stream::AccessLogger {
 public:
  Filtered(LogFilterPtr filter, std::shared_ptr<const AccessLogger> logger)
      : filter_(std::move(filter)), logger_(std::move(logger)) {}
  void log(const LogSubject& subject, Lane& lane) const override {
    if (filter_->passes(subject, lane)) logger_->log(subject, lane);
  }

 private:
  const LogFilterPtr filter_;
  const std::shared_ptr<const AccessLogger> logger_;
};

}  // namespace

LogFilterPtr status_code_filter(Comparison comparison, runtime::RuntimeUnsigned value) {
  return simple([=](const LogSubject& subject, Lane& lane) {
    return compare(comparison, subject.info.response_code, value.get(lane.slots()));
  });
}

LogFilterPtr duration_filter(Comparison comparison, runtime::RuntimeUnsigned value) {
  return simple([=](const LogSubject& subject, Lane& lane) {
    const MonoTime end = subject.info.end != MonoTime{} ? subject.info.end : lane.now();
    return compare(comparison, static_cast<uint64_t>(to_ms(end - subject.info.start)), value.get(lane.slots()));
  });
}

LogFilterPtr not_health_check_filter() {
  return simple([](const LogSubject& subject, Lane&) { return !subject.info.health_check; });
}

LogFilterPtr runtime_filter(runtime::RuntimeFraction fraction, bool independent) {
  return simple([=](const LogSubject& subject, Lane& lane) {
    uint64_t random = 0;
    // Not the stream's own number, which has decided where it goes: a sample would be of one destination.
    if (independent || !shared_random(subject, random)) random = lane.random().next();
    return fraction.enabled(lane.slots(), random);
  });
}

LogFilterPtr all_of_filter(std::vector<LogFilterPtr> filters) {
  return simple([filters = std::move(filters)](const LogSubject& subject, Lane& lane) {
    return std::all_of(filters.begin(), filters.end(), [&](const auto& each) { return each->passes(subject, lane); });
  });
}

LogFilterPtr any_of_filter(std::vector<LogFilterPtr> filters) {
  return simple([filters = std::move(filters)](const LogSubject& subject, Lane& lane) {
    return std::any_of(filters.begin(), filters.end(), [&](const auto& each) { return each->passes(subject, lane); });
  });
}

LogFilterPtr header_filter(HeaderMatcher header) {
  return simple([header = std::move(header)](const LogSubject& subject, Lane&) {
    return subject.request != nullptr && header.matches(*subject.request);
  });
}

LogFilterPtr response_flag_filter(stream::ResponseFlags flags) {
  return simple([=](const LogSubject& subject, Lane&) {
    const uint64_t set = subject.info.flags.bits();
    return (flags.empty() ? set : set & flags.bits()) != 0;
  });
}

LogFilterPtr grpc_status_filter(std::bitset<17> statuses, bool exclude) {
  return simple([=](const LogSubject& subject, Lane&) {
    constexpr uint64_t kUnknown = 2;
    const uint64_t status = stream::grpc_status(subject).value_or(kUnknown);
    return (status < statuses.size() && statuses[status]) != exclude;
  });
}

LogFilterPtr metadata_filter(MetadataMatcher matcher, bool if_missing) {
  return simple([matcher = std::move(matcher), if_missing](const LogSubject& subject, Lane&) {
    const stream::Value* root = subject.info.metadata != nullptr ? &subject.info.metadata->root() : nullptr;
    return matcher.finds(root) ? matcher.matches(root) : if_missing;
  });
}

LogFilterPtr log_type_filter(std::bitset<static_cast<size_t>(stream::AccessLogType::kCount)> types, bool exclude) {
  return simple([=](const LogSubject& subject, Lane&) { return types[static_cast<size_t>(subject.type)] != exclude; });
}

std::shared_ptr<const stream::AccessLogger> filtered(LogFilterPtr filter,
                                                     std::shared_ptr<const stream::AccessLogger> logger) {
  return std::make_shared<Filtered>(std::move(filter), std::move(logger));
}

}  // namespace weir::match
