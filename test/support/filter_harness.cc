#include "test/support/filter_harness.h"

#include <gtest/gtest.h>

#include "core/filter/registry.h"
#include "core/filter/route_rate_limits.h"
#include "core/stream/metadata.h"
#include "test/support/descriptor.h"
#include "test/support/seed.h"

namespace weir::test {

using filter::Action;

namespace {

std::string find(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "(none)";
}

Headers copy_of(const http::HeaderMap& map) {
  Headers headers;
  map.for_each([&](const http::HeaderEntry& entry) {
    headers.emplace_back(std::string(entry.name()), std::string(entry.value()));
  });
  return headers;
}

void fill(http::HeaderMap& map, const Headers& headers) {
  map.clear();
  for (const auto& [name, value] : headers) map.add_copy(name, value);
}

}  // namespace

std::string Message::header(std::string_view name) const { return find(headers, name); }
std::string Message::trailer(std::string_view name) const { return find(trailers, name); }

// The last filter of every harness: the upstream.
class FilterHarness::Terminal final : public filter::HttpFilter {
 public:
  static constexpr bool kTerminal = true;
  explicit Terminal(const TerminalConfig& config) : harness_(*config.harness) {}
  Action on_request_headers(filter::Stream&, http::HeaderMap& headers, bool end) override {
    Message& request = harness_.request_;
    harness_.expect(!request.has_headers, "request headers reached the terminal filter twice");
    request.has_headers = true;
    request.headers = copy_of(headers);
    request.ended = end;
    if (harness_.on_request_headers_) std::exchange(harness_.on_request_headers_, nullptr)();
    return Action::kContinue;
  }
  Action on_request_data(filter::Stream&, Slices& data, bool end) override {
    Message& request = harness_.request_;
    harness_.expect(request.has_headers && !request.ended, "request data out of order");
    request.body += data.to_string();
    request.ended = end;
    ++request.data_events;
    data.clear();
    return Action::kContinue;
  }
  Action on_request_trailers(filter::Stream&, http::HeaderMap& trailers) override {
    Message& request = harness_.request_;
    harness_.expect(request.has_headers && !request.ended, "request trailers out of order");
    request.has_trailers = true;
    request.trailers = copy_of(trailers);
    request.ended = true;
    return Action::kContinue;
  }

 private:
  FilterHarness& harness_;
};

FilterHarness::FilterHarness(std::vector<filter::HttpFilterEntry> filters, const Options& options)
    : enabled_(options.enabled) {
  static const filter::HttpFilterDescriptor terminal =
      describe_for_test<TerminalConfig, Terminal>("weir.test.terminal");
  for (filter::HttpFilterEntry& entry : filters) {
    if (entry.id == 0) entry.id = filter::Registry::intern_filter_name(entry.name);
  }
  // The harness outlives the chain, so nobody needs to own the terminal filter's configuration.
  filters.push_back({.descriptor = &terminal,
                     .config = std::shared_ptr<const void>(std::shared_ptr<void>(), &terminal_config_),
                     .name = "terminal"});
  enabled_ |= filter::filter_bit(filters.size() - 1);
  auto chain = filter::HttpChainConfig::build(std::move(filters));
  EXPECT_TRUE(chain.ok()) << chain.status();
  chain_ = *chain;
  stream_.reset(new filter::Stream(lane_.lane(), *this));  // make_unique cannot see the private base
  stream_->set_buffer_limit(options.buffer_limit);
}

FilterHarness::~FilterHarness() {
  disconnect();
  EXPECT_EQ(violations_, std::vector<std::string>{});
}

void FilterHarness::set_route_config(const std::string& filter_name, std::shared_ptr<const void> config) {
  set_route_config(filter::RouteKey{filter::Registry::intern_filter_name(filter_name), 0}, std::move(config));
}

void FilterHarness::set_route_config(filter::RouteKey key, std::shared_ptr<const void> config) {
  route_configs_[key.filter_id].push_back(std::move(config));
}

void FilterHarness::set_route_rate_limits(std::shared_ptr<const match::RouteRateLimits> limits) {
  set_route_config(filter::kRouteRateLimits, std::move(limits));
}

void FilterHarness::set_connection(stream::ConnectionInfo* connection) {
  connection_ = connection;
  stream_->info().connection = connection;
}

std::string FilterHarness::metadata_now() const {
  std::string text;
  if (stream_->info().metadata != nullptr) stream::append_json(stream_->info().metadata->root(), text);
  return text;
}

const void* FilterHarness::route_config(filter::RouteKey key) const {
  auto found = route_configs_.find(key.filter_id);
  return found != route_configs_.end() ? found->second.back().get() : nullptr;
}

filter::RouteLevels FilterHarness::route_configs(filter::RouteKey key) const {
  filter::RouteLevels levels;
  auto found = route_configs_.find(key.filter_id);
  if (found == route_configs_.end()) return levels;
  for (const auto& config : found->second) levels.at[levels.count++] = config.get();
  return levels;
}

void FilterHarness::send_headers(const Headers& headers, bool end) {
  client_.push_back({Event::Kind::kHeaders, headers, {}, end});
}
void FilterHarness::send_data(std::string_view data, bool end) {
  client_.push_back({Event::Kind::kData, {}, std::string(data), end});
}
void FilterHarness::send_trailers(const Headers& trailers) {
  client_.push_back({Event::Kind::kTrailers, trailers, {}, true});
}
void FilterHarness::respond_headers(const Headers& headers, bool end) {
  upstream_.push_back({Event::Kind::kHeaders, headers, {}, end});
}
void FilterHarness::respond_data(std::string_view data, bool end) {
  upstream_.push_back({Event::Kind::kData, {}, std::string(data), end});
}
void FilterHarness::respond_trailers(const Headers& trailers) {
  upstream_.push_back({Event::Kind::kTrailers, trailers, {}, true});
}
void FilterHarness::respond_abort() { upstream_.push_back({Event::Kind::kAbort, {}, {}, true}); }

void FilterHarness::deliver(Event& event, bool response) {
  Slices data;
  switch (event.kind) {
    case Event::Kind::kHeaders:
      if (response) {
        if (stream_->answered_locally()) break;  // answered by a filter meanwhile; the map is that answer's
        fill(stream_->response_headers(), event.headers);
        if (const int status = stream_->response_headers().status_code(); status < 200 && status != 101) {
          stream_->respond_informational(stream_->response_headers());
        } else {
          stream_->respond_headers(event.end);
        }
      } else {
        fill(stream_->request_headers(), event.headers);
        stream_->make_chain(*chain_, enabled_);
        stream_->request_arrived(event.end);
      }
      break;
    case Event::Kind::kData:
      data.append_copy(event.data, lane_.lane().blocks());
      if (response) {
        stream_->respond_data(data, event.end);
      } else {
        stream_->request_data_arrived(data, event.end);
      }
      break;
    case Event::Kind::kTrailers:
      if (response) {
        fill(stream_->make_response_trailers(), event.headers);
        stream_->respond_trailers();
      } else {
        fill(stream_->make_request_trailers(), event.headers);
        stream_->request_trailers_arrived();
      }
      break;
    case Event::Kind::kAbort:
      stream_->respond_abort("upstream_abort");
      break;
  }
}

bool FilterHarness::client_step() {
  if (client_.empty() || stream_ == nullptr || completed_ || request_blocked_) return false;
  Event event = std::move(client_.front());
  client_.pop_front();
  deliver(event, false);
  return true;
}

// A response begins when the terminal filter has the request: all of it, unless the test says otherwise.
bool FilterHarness::upstream_step() {
  if (upstream_.empty() || stream_ == nullptr || completed_ || stream_->response_flow().blocked()) return false;
  if (!(early_responses_ ? request_.has_headers : request_.ended)) return false;
  Event event = std::move(upstream_.front());
  upstream_.pop_front();
  deliver(event, true);
  return true;
}

void FilterHarness::turn() {
  lane_.turn();
  if (completed_) stream_.reset();
}

void FilterHarness::run(Duration longest) {
  for (Duration passed{}; passed <= longest; passed += 1ms) {
    while (client_step() || upstream_step()) {
      if (completed_) turn();
    }
    turn();
    if (stream_ == nullptr || (response_.ended && client_.empty() && upstream_.empty())) return;
    lane_.advance(1ms);
  }
}

void FilterHarness::disconnect() {
  if (stream_ == nullptr) return;
  finish();
  turn();
}

void FilterHarness::finish() {
  if (completed_) return;
  completed_ = true;
  stream_->complete();
  details_ = std::string(stream_->info().details);
  metadata_ = metadata_now();
  flags_ = stream_->info().flags;
}

void FilterHarness::send_informational(http::HeaderMap& headers) {
  expect(!response_.has_headers, "informational response after the response");
  informational_.push_back(headers.status_code());
}

void FilterHarness::send_headers(http::HeaderMap& headers, bool end) {
  expect(!response_.has_headers, "response headers left the chain twice");
  expect(!aborted_, "response headers after abort");
  response_.has_headers = true;
  response_.headers = copy_of(headers);
  response_.ended = end;
  if (end) finish();
}

void FilterHarness::send_data(Slices& data, bool end) {
  expect(response_.has_headers && !response_.ended && !aborted_, "response data out of order");
  expect(end || !data.empty(), "response data without data");
  response_.body += data.to_string();
  response_.ended = end;
  ++response_.data_events;
  data.clear();
  if (end) finish();
}

void FilterHarness::send_trailers(http::HeaderMap& trailers) {
  expect(response_.has_headers && !response_.ended && !aborted_, "response trailers out of order");
  response_.has_trailers = true;
  response_.trailers = copy_of(trailers);
  response_.ended = true;
  finish();
}

void FilterHarness::abort_response() {
  expect(!aborted_ && !response_.ended, "abort after the end");
  aborted_ = true;
  finish();
}

void run_under_chaos(const std::vector<filter::HttpFilterEntry>& filters,
                     const std::function<void(FilterHarness&)>& test, uint64_t seeds,
                     const FilterHarness::Options& options) {
  {
    SCOPED_TRACE("without chaos");
    FilterHarness harness(filters, options);
    test(harness);
  }
  if (::testing::Test::HasFailure()) return;
  for_each_seed(seeds, [&](uint64_t seed) {
    SCOPED_TRACE("chaos seed " + std::to_string(seed));
    std::vector<std::shared_ptr<ChaosConfig>> around;
    for (uint64_t i = 0; i < 2; ++i) {
      around.push_back(std::make_shared<ChaosConfig>());
      around.back()->seed = seed * 2 + i;
    }
    std::vector<filter::HttpFilterEntry> chain;
    chain.push_back(chaos_entry(around[0], "chaos_before"));
    chain.insert(chain.end(), filters.begin(), filters.end());
    chain.push_back(chaos_entry(around[1], "chaos_after"));
    {
      FilterHarness harness(chain, options);
      test(harness);
    }
    for (const auto& chaos : around) {
      EXPECT_EQ(chaos->record->violations, std::vector<std::string>{});
      EXPECT_EQ(chaos->record->live, 0u);
    }
  });
}

}  // namespace weir::test
