// An HTTP filter that makes life hard for its neighbours: at random it pauses at every kind of event and resumes
// inline, from a hook of the other direction or by timer; merges and splits what passes; gives bytes that it kept with
// its next event, ahead of the trailers or while it is paused; leaves bodies alone; answers or ends the stream. It also
// checks what the chain promises to every filter: headers, then data, then trailers, one end per direction, nothing but
// on_complete after an answer of its own, on_complete once and nothing after it.
//
// Put one before and one after the filter under test.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/event/timer.h"
#include "core/filter/registry.h"
#include "core/filter/stream.h"

namespace weir::test {

// Everything that one chaos filter in one chain does and sees. Shared by its streams; one thread.
struct ChaosConfig {
  uint64_t seed = 1;
  uint32_t pause_percent = 30;
  uint32_t split_percent = 30;
  uint32_t leave_percent = 10;    // bodies; none if keep_bodies
  uint32_t answer_per_mille = 0;  // reply_local, from a hook or a timer
  uint32_t abort_per_mille = 0;
  Duration longest_pause = 5ms;

  struct Record {
    mutable uint64_t streams = 0;
    mutable uint64_t live = 0;
    mutable uint64_t paused = 0;
    mutable uint64_t split = 0;
    mutable uint64_t injected = 0;
    mutable uint64_t answered = 0;
    mutable uint64_t aborted = 0;
    mutable std::vector<std::string> violations;  // of the chain's promises
    // Of the last stream; bytes in the order they were first seen.
    mutable std::string request_body;
    mutable std::string response_body;
  };
  std::shared_ptr<Record> record = std::make_shared<Record>();
  bool keep_bodies = false;
};

class ChaosFilter final : public filter::HttpFilter {
 public:
  explicit ChaosFilter(const ChaosConfig& config);
  ~ChaosFilter();
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_request_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  filter::Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;
  filter::Action on_response_data(filter::Stream& stream, Slices& data, bool end) override;
  filter::Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override;
  void on_complete(filter::Stream& stream) override;

 private:
  // One direction: what was seen, and the pause in progress.
  struct Side final : event::Timer {
    explicit Side(ChaosFilter& filter) : filter(filter) {}
    void on_timer() override;
    ChaosFilter& filter;
    filter::Resume resume;
    Slices kept;  // seen, not passed on
    bool headers = false;
    bool trailers = false;
    bool ended = false;
    bool answer_later = false;
    bool left_alone = false;  // its body
  };
  filter::Action headers(filter::Stream& stream, Side& side, bool end);
  filter::Action data(filter::Stream& stream, Side& side, Slices& data, bool end, std::string& body);
  filter::Action trailers(filter::Stream& stream, Side& side);
  filter::Action act(filter::Stream& stream, Side& side);
  void give(Side& side);
  void go_on(Side& side);
  void expect(bool condition, const char* what);
  bool roll(uint32_t percent) { return random_.below(100) < percent; }
  bool roll_mille(uint32_t per_mille) { return random_.below(1000) < per_mille; }

  const ChaosConfig& config_;
  Random random_;
  filter::Stream* stream_ = nullptr;
  Side request_{*this};
  Side response_{*this};
  bool answered_ = false;
  bool completed_ = false;
};

// A descriptor made by hand: it has no configuration message.
const filter::HttpFilterDescriptor& chaos_descriptor();
// An entry for HttpChainConfig::build().
filter::HttpFilterEntry chaos_entry(std::shared_ptr<const ChaosConfig> config, std::string name = "chaos");

}  // namespace weir::test
