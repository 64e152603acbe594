// The byte-copying floor: what a proxy would cost that did nothing but read from one side and write to the other. Each
// client connection is tied to one pooled upstream connection for its lifetime; nothing is parsed. The same relay is
// written over four event loops, because the choice of loop is part of what is measured.
#pragma once

#include "common.h"

namespace weir::bench {

struct FloorSettings {
  uint16_t port = 0;
  std::vector<uint16_t> upstream_ports;
  size_t pool = 128;                  // upstream connections made before the first client, round robin over the ports
  size_t buffer_size = 64 << 10;      // one for the whole process; what does not fit into a socket is copied out
  bool close_after_response = false;  // close the client when one answer (one short upstream read) has been written
};

void run_floor_epoll(const FloorSettings& settings, int listener, bool embed_uv);
void run_floor_uv_tcp(const FloorSettings& settings, int listener);
void run_floor_uv_poll(const FloorSettings& settings, int listener);

// Picks upstream ports in turn.
class UpstreamPorts {
 public:
  explicit UpstreamPorts(const FloorSettings& settings) : ports_(settings.upstream_ports) {}

  int connect_next() {
    const int fd = connect_loopback(ports_[next_]);
    if (fd < 0) die("connect upstream");
    next_ = (next_ + 1) % ports_.size();
    return fd;
  }

 private:
  std::vector<uint16_t> ports_;
  size_t next_ = 0;
};

}  // namespace weir::bench
