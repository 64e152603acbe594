// An upstream server of the simulator. What it does with a request is said by the request's x-sim-plan header, except
// for its own bad moods: it may reset, garble or stall whatever it is asked.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "test/sim/sim_http.h"

namespace weir::sim {

class SimServer {
 public:
  SimServer(uint64_t seed, uint32_t faults_per_mille, std::vector<std::string>& violations);
  ~SimServer();
  uint16_t port() const { return port_; }
  void set_calm() { faults_per_mille_ = 0; }
  // Moves every connection a little. True if anything moved.
  bool step();
  size_t connections() const { return peers_.size(); }
  uint64_t requests() const { return requests_; }
  // Tunnels that have ended, not been reset, by the ids of their requests: whether all had come that was told of.
  const std::map<uint64_t, bool>& tunnels() const { return tunnels_; }
  // Takes no connections any more: they are refused.
  void go_away();
  void come_back();

 private:
  struct Peer {
    explicit Peer(int fd) : socket(fd) {}
    Socket socket;
    MessageReader reader{MessageReader::Role::kRequests};
    bool answering = false;  // the response to the current request is on its way
    uint32_t wait = 0;       // steps before anything is sent
    bool close_after = false;
    bool reset_after = false;
    bool tunnel = false;
    bool ended_sending = false;
    bool dead = false;
  };
  bool step(Peer& peer);
  void answer(Peer& peer);
  bool step_tunnel(Peer& peer);

  Random random_;
  uint32_t faults_per_mille_;
  std::vector<std::string>& violations_;
  int fd_ = -1;
  uint16_t port_ = 0;
  std::list<Peer> peers_;
  uint64_t requests_ = 0;
  std::map<uint64_t, bool> tunnels_;
};

// "len=100;frame=chunked;..." -> the number after "len=", 0 if it is not there.
uint64_t plan_number(const std::string& plan, const std::string& key);

}  // namespace weir::sim
