// Runs the real filter chain with fake ends: the harness is the client and the upstream, the filters between them are
// what is tested. Messages are scripts: send_* and respond_* queue what the two ends do, and run() lets it happen,
// moving the clock, until nothing more can. Both ends obey flow control.
//
//   FilterHarness harness({{&descriptor, config}});
//   harness.send_headers({{":method", "POST"}, {":path", "/"}});
//   harness.send_data("hello", true);
//   harness.run();
//   EXPECT_EQ(harness.request().body, "hello");          // what reached the terminal filter
//   harness.respond_headers({{":status", "200"}}, true);
//   harness.run();
//   EXPECT_EQ(harness.response().header("x-added"), "1");  // what reached the client
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/filter/chain_config.h"
#include "core/filter/stream.h"
#include "core/match/rate_limits.h"
#include "test/support/chaos_filter.h"
#include "test/support/test_lane.h"

namespace weir::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

// What arrived at one end.
struct Message {
  bool has_headers = false;
  bool ended = false;
  Headers headers;
  std::string body;
  size_t data_events = 0;
  bool has_trailers = false;
  Headers trailers;

  // The first value; "(none)" if the header is not there.
  std::string header(std::string_view name) const;
  std::string trailer(std::string_view name) const;
};

class FilterHarness final : private filter::StreamHost {
 public:
  struct Options {
    uint32_t buffer_limit = 1024 * 1024;
    uint64_t enabled = ~uint64_t{0};  // filters of this stream, by position
  };
  // Without the terminal filter, which the harness adds.
  explicit FilterHarness(std::vector<filter::HttpFilterEntry> filters) : FilterHarness(std::move(filters), Options{}) {}
  FilterHarness(std::vector<filter::HttpFilterEntry> filters, const Options& options);
  ~FilterHarness();

  // The route's configuration for the filter of that name. Before the request. Called again, it adds a more specific
  // level.
  void set_route_config(const std::string& filter_name, std::shared_ptr<const void> config);
  void set_route_config(filter::RouteKey key, std::shared_ptr<const void> config);

  // The rate_limits of a level of the route configuration, as set_route_config() adds levels.
  void set_route_rate_limits(std::shared_ptr<const match::RouteRateLimits> limits);
  // Where the route leads.
  void set_route_cluster(std::string name) { route_cluster_ = std::move(name); }
  // The connection of the stream, which must outlive it. Without a call there is none.
  void set_connection(stream::ConnectionInfo* connection);
  // What filters may hold of bodies under way, and what they do.
  void limit_state(uint64_t bytes) { most_state_ = bytes; }
  int64_t held_state() const { return held_state_; }

  // --- The client ---
  void send_headers(const Headers& headers, bool end = false);
  void send_data(std::string_view data, bool end = false);
  void send_trailers(const Headers& trailers);
  // --- The upstream ---
  void respond_headers(const Headers& headers, bool end = false);
  void respond_data(std::string_view data, bool end = false);
  void respond_trailers(const Headers& trailers);
  void respond_abort();
  // The upstream answers as soon as it has the request's headers.
  void respond_early() { early_responses_ = true; }
  // What the upstream does as soon as it has seen the request's headers; replaces waiting for the test.
  void when_request_headers_arrive(std::function<void()> action) { on_request_headers_ = std::move(action); }

  // Lets everything happen that can, moving the clock a millisecond at a time over at most `longest`.
  void run(Duration longest = 2s);
  // One turn of the lane without moving the clock.
  void turn();
  // The client goes away: the stream is completed, and destroyed at the end of the turn. client_leaves() may be called
  // from within a hook, disconnect() runs the turn too.
  void client_leaves() { finish(); }
  void disconnect();

  const Message& request() const { return request_; }    // as the terminal filter saw it
  const Message& response() const { return response_; }  // as the client saw it
  const std::vector<int>& informational() const { return informational_; }
  bool aborted() const { return aborted_; }
  bool request_blocked() const { return request_blocked_; }
  // The chain has offered the client unseen data of the request; none comes.
  bool request_left_unseen() const { return request_left_unseen_; }
  bool completed() const { return completed_; }
  size_t unsent() const { return client_.size() + upstream_.size(); }
  std::string_view details() const { return details_; }
  // The dynamic metadata as JSON; empty: nobody set any.
  std::string metadata() const { return stream_ != nullptr ? metadata_now() : metadata_; }
  stream::ResponseFlags flags() const { return stream_ != nullptr ? stream_->info().flags : flags_; }
  filter::Stream& stream() { return *stream_; }
  TestLane& lane() { return lane_; }
  // Calls made out of order by the chain at either end.
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  class Terminal;
  struct TerminalConfig {
    FilterHarness* harness;
  };
  struct Event {
    enum class Kind { kHeaders, kData, kTrailers, kAbort };
    Kind kind;
    Headers headers;
    std::string data;
    bool end;
  };

  bool client_step();
  bool upstream_step();
  void deliver(Event& event, bool response);
  void expect(bool condition, const char* what) {
    if (!condition) violations_.emplace_back(what);
  }
  void finish();
  std::string metadata_now() const;

  // filter::StreamHost
  stream::ConnectionInfo* connection_info() override { return connection_; }
  std::string_view route_cluster() const override { return route_cluster_; }
  void send_informational(http::HeaderMap& headers) override;
  void send_headers(http::HeaderMap& headers, bool end) override;
  void send_data(Slices& data, bool end) override;
  void send_trailers(http::HeaderMap& trailers) override;
  void abort_response() override;
  const void* route_config(filter::RouteKey key) const override;
  filter::RouteLevels route_configs(filter::RouteKey key) const override;
  bool may_hold_state(uint64_t bytes) const override { return bytes <= most_state_; }
  void hold_state(int64_t change) override { held_state_ += change; }
  void on_request_flow(bool blocked) override { request_blocked_ = blocked; }
  void leave_request_unseen() override { request_left_unseen_ = true; }

  TestLane lane_;
  TerminalConfig terminal_config_{this};
  std::shared_ptr<const filter::HttpChainConfig> chain_;
  std::map<uint32_t, std::vector<std::shared_ptr<const void>>> route_configs_;
  uint64_t enabled_;
  std::unique_ptr<filter::Stream> stream_;
  std::deque<Event> client_;
  std::deque<Event> upstream_;
  std::function<void()> on_request_headers_;
  Message request_;
  Message response_;
  std::vector<int> informational_;
  std::vector<std::string> violations_;
  std::string details_;
  std::string metadata_;
  stream::ResponseFlags flags_;
  std::string route_cluster_;
  stream::ConnectionInfo* connection_ = nullptr;
  bool early_responses_ = false;
  bool aborted_ = false;
  bool completed_ = false;
  bool request_blocked_ = false;
  uint64_t most_state_ = ~uint64_t{0};
  int64_t held_state_ = 0;
  bool request_left_unseen_ = false;
};

// Runs `test` with harnesses whose chain is the given one, bare first, then with chaos filters before and after it,
// once per seed. Chaos is kind: it delays, splits and merges, but neither answers nor aborts. `check` sees each
// finished run.
void run_under_chaos(const std::vector<filter::HttpFilterEntry>& filters,
                     const std::function<void(FilterHarness&)>& test, uint64_t seeds = 50,
                     const FilterHarness::Options& options = {});

}  // namespace weir::test
