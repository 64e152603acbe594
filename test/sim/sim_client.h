// A client of the simulator: one connection, a few requests on it (pipelined or not), read at a pace of its own. It
// knows what every answer must look like and notes what does not.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/base/time.h"
#include "test/sim/sim_http.h"

namespace weir::sim {

// What all clients of a run share.
struct ClientShared {
  uint64_t next_id = 1;
  std::set<uint64_t> answered;  // ids whose whole response a client has seen
  uint64_t complete = 0;        // from an upstream, byte for byte
  uint64_t local = 0;           // complete, made by the proxy
  uint64_t cut = 0;             // cleanly cut off
  uint64_t upgraded = 0;        // of the complete ones: tunnels, by an upgrade
  uint64_t connected = 0;       // and by CONNECT
  std::set<uint64_t> sent_all;  // ids of tunnels whose client has sent everything, and its end
  std::map<int, uint64_t> statuses;
  std::vector<std::string> violations;
};

class SimClient {
 public:
  SimClient(uint64_t seed, uint16_t port, ClientShared& shared);
  // Moves a little. True if anything moved.
  bool step(MonoTime now);
  bool done() const { return done_; }
  // Closes at once, whatever is under way.
  void leave() { finish(); }
  std::string describe() const;

 private:
  enum class Manner : uint8_t {
    kPolite,
    kLeavesEarly,
    kResetsEarly,
    kHalfCloses,
    kGarbage,
    kSlowReader,
    kStopsSending
  };
  struct Request {
    uint64_t id;
    std::string method;
    std::string plan;
    bool direct;
    bool tunnel;  // it asks for one, and is the last on its connection
    std::string wire;
  };
  void plan_requests();
  Request make_request();
  void on_response();
  void finish();
  void violation(const std::string& what);

  Random random_;
  ClientShared& shared_;
  Manner manner_;
  bool pipelines_;
  Socket socket_;
  std::deque<Request> to_send_;
  std::deque<Request> waiting_;  // sent, in whole or in part, not answered
  MessageReader reader_{MessageReader::Role::kResponses};
  bool reading_response_ = false;
  size_t budget_ = 0;  // bytes to send before it leaves, for those who do
  uint32_t not_reading_ = 0;
  int last_status_ = 0;
  bool ended_sending_ = false;
  bool done_ = false;
  MonoTime last_move_{};
};

}  // namespace weir::sim
