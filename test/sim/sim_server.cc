#include "test/sim/sim_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

namespace weir::sim {

uint64_t plan_number(const std::string& plan, const std::string& key) {
  size_t at = plan.find(key + "=");
  return at != std::string::npos ? std::strtoull(plan.c_str() + at + key.size() + 1, nullptr, 10) : 0;
}

SimServer::SimServer(uint64_t seed, uint32_t faults_per_mille, std::vector<std::string>& violations)
    : random_(seed), faults_per_mille_(faults_per_mille), violations_(violations) {
  fd_ = listen_on_loopback(port_);
}

SimServer::~SimServer() { go_away(); }

void SimServer::go_away() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void SimServer::come_back() {
  if (fd_ >= 0) return;
  // The old port may be taken by now: then this server stays away.
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(fd_, 128) != 0) go_away();
}

bool SimServer::step() {
  bool moved = false;
  while (fd_ >= 0 && random_.below(4) != 0) {
    int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) break;
    peers_.emplace_back(fd);
    moved = true;
  }
  for (auto it = peers_.begin(); it != peers_.end();) {
    if (random_.below(3) != 0) moved |= step(*it);
    it = it->dead ? peers_.erase(it) : std::next(it);
  }
  return moved;
}

bool SimServer::step(Peer& peer) {
  bool moved = false;
  if (!peer.answering || random_.below(2) == 0)
    moved |= peer.socket.receive_some(1 + random_.below(random_.below(2) == 0 ? 20 : 60'000));
  if (peer.socket.failed()) {
    peer.dead = true;
    return true;
  }
  if (!peer.reader.done()) peer.reader.read(peer.socket.in, peer.socket.peer_ended());
  const std::string plan = peer.reader.header("x-sim-plan");
  if (!peer.answering && peer.reader.has_head() && (peer.reader.done() || plan_number(plan, "early") != 0))
    answer(peer);
  if (peer.wait > 0) {
    --peer.wait;
    if (peer.socket.peer_ended() && !peer.tunnel) peer.dead = true;
    return true;
  }
  moved |= peer.socket.send_some(1 + random_.below(random_.below(3) == 0 ? 30 : 60'000));
  if (peer.tunnel) return step_tunnel(peer) || moved;
  if (peer.answering && peer.socket.out.empty()) {
    if (peer.reset_after) {
      peer.socket.reset();
      peer.dead = true;
    } else if (peer.close_after) {
      peer.socket.close();
      peer.dead = true;
    } else if (peer.reader.done()) {
      peer.reader = MessageReader(MessageReader::Role::kRequests);
      peer.answering = false;
    } else if (peer.socket.peer_ended()) {
      peer.dead = true;
    }
    return true;
  }
  // The proxy has closed, in the middle of a request or between two.
  if (peer.socket.peer_ended() && !peer.answering) peer.dead = true;
  if (peer.reader.state() == MessageReader::State::kBad) {
    violations_.push_back("an upstream was sent something that is not HTTP: " + peer.reader.first_line());
    peer.dead = true;
  }
  return moved;
}

bool SimServer::step_tunnel(Peer& peer) {
  bool moved = false;
  if (peer.socket.out.empty() && !peer.ended_sending) {
    peer.ended_sending = moved = true;
    if (peer.reset_after) {
      peer.socket.reset();
      peer.dead = true;
      return true;
    }
    peer.socket.half_close();
  }
  uint64_t id = std::strtoull(peer.reader.header("x-sim-id").c_str(), nullptr, 10);
  std::string expected = pattern(id + 1, plan_number(peer.reader.header("x-sim-plan"), "send"));
  const bool garbled = peer.reader.has_header("x-sim-garbled");
  if (!garbled && !expected.starts_with(peer.socket.in)) {
    violations_.push_back("wrong bytes in the tunnel of request " + std::to_string(id));
    peer.dead = true;
  }
  if (!garbled && peer.socket.peer_ended()) tunnels_[id] = peer.socket.in == expected;
  if (peer.socket.peer_ended() && peer.ended_sending) peer.dead = true;
  return moved || peer.dead;
}

void SimServer::answer(Peer& peer) {
  ++requests_;
  MessageReader& request = peer.reader;
  std::string id_text = request.header("x-sim-id");
  uint64_t id = std::strtoull(id_text.c_str(), nullptr, 10);
  const std::string plan = request.header("x-sim-plan");
  const bool connect = request.method() == "CONNECT";
  const bool asks_tunnel = connect || request.has_header("upgrade");
  if (request.has_header("x-sim-garbled")) id = 0;
  if (id == 0) {
    // Garbled on the way; nothing is known of it.
  } else if (request.path().find((connect ? "id-" : "/") + id_text) == std::string::npos)
    violations_.push_back("request " + id_text + " came with path " + request.path());
  if (id != 0 && request.done() && !asks_tunnel && request.body() != pattern(id + 1, plan_number(plan, "send"))) {
    violations_.push_back("request " + id_text + " came with a wrong body of " + std::to_string(request.body().size()) +
                          " bytes for " + plan);
  }
  peer.answering = true;
  peer.wait = static_cast<uint32_t>(plan_number(plan, "wait"));
  std::string& out = peer.socket.out;
  if (random_.below(1000) < faults_per_mille_) {
    switch (random_.below(6)) {
      case 0:
        peer.reset_after = true;
        return;
      case 1:
        peer.close_after = true;
        return;
      case 2:
        out += "HTTP/1.1 banana\r\n\r\n";
        peer.close_after = true;
        return;
      case 3:
        peer.wait = 100'000;  // never
        return;
      case 4:
        out += "HTTP/1.1 503 Busy\r\nx-sim-id: " + id_text + "\r\ncontent-length: 4\r\n\r\nbusy";
        return;
      default:
        out += "HTTP/1.1 200 OK\r\nx-sim-id: " + id_text + "\r\n";  // and no more of it
        (random_.below(2) == 0 ? peer.reset_after : peer.close_after) = true;
        return;
    }
  }
  if (plan_number(plan, "info") != 0) out += "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
  // A garbled request may ask for any length.
  size_t size = std::min<uint64_t>(plan_number(plan, "len"), 1 << 20);
  uint64_t frame = plan_number(plan, "frame");
  if (asks_tunnel && random_.below(5) != 0) {
    peer.tunnel = true;
    peer.reset_after = plan_number(plan, "cut") != 0;
    out += connect ? "HTTP/1.1 200 Connected\r\n" : "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: sim\r\n";
    out += "x-sim-id: " + id_text + "\r\nx-sim-length: " + std::to_string(size) + "\r\n\r\n" + pattern(id, size);
    return;
  }
  if (connect) {  // any success would open it
    out += "HTTP/1.1 405 Never\r\nx-sim-id: " + id_text + "\r\nx-sim-length: 0\r\ncontent-length: 0\r\n\r\n";
    return;
  }
  out += "HTTP/1.1 200 OK\r\nx-sim-id: " + id_text + "\r\nx-sim-length: " + std::to_string(size) + "\r\n";
  std::string body = request.method() == "HEAD" ? std::string() : pattern(id, size);
  if (plan_number(plan, "close") != 0) {
    out += "connection: close\r\n";
    peer.close_after = true;
  }
  // A body that is cut short on purpose.
  size_t cut =
      plan_number(plan, "cut") != 0 && !body.empty() ? 1 + random_.below(static_cast<uint32_t>(body.size())) : 0;
  if (cut != 0) (random_.below(2) == 0 ? peer.reset_after : peer.close_after) = true;
  if (frame == 0) {
    out += "content-length: " + std::to_string(size) + "\r\n\r\n" + body.substr(0, body.size() - cut);
  } else if (frame == 1) {
    out += "transfer-encoding: chunked\r\n\r\n";
    if (request.method() == "HEAD") return;
    size_t at = 0;
    while (at + cut < body.size()) {
      size_t piece = std::min<size_t>(1 + random_.below(5000), body.size() - cut - at);
      char head[32];
      snprintf(head, sizeof(head), "%zx\r\n", piece);
      out += head + body.substr(at, piece) + "\r\n";
      at += piece;
    }
    if (cut == 0) out += plan_number(plan, "trailers") != 0 ? "0\r\nx-sim-trailer: 1\r\n\r\n" : "0\r\n\r\n";
  } else {
    peer.close_after = true;
    // Cut short by a FIN, a body that lasts until close would look complete.
    if (cut != 0) peer.reset_after = true;
    out += "\r\n" + body.substr(0, body.size() - cut);
  }
}

}  // namespace weir::sim
