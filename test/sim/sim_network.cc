#include "test/sim/sim_network.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "core/base/assert.h"

namespace weir::sim {
namespace {

SimNetwork* the_network = nullptr;

// What a connection buffers from end to end: little, usual, and more than any message of the simulator has.
constexpr size_t kCapacities[] = {1'500, 20'000, 20'000, 400'000};
constexpr size_t kPipeCapacity = 65'536;
// Steps that a connection takes whose first packet is lost: beyond every connect timeout, not beyond every patience.
constexpr uint32_t kLost = 200;

}  // namespace

SimNetwork::SimNetwork(uint64_t seed) : random_(seed) {
  WEIR_CHECK(the_network == nullptr);
  the_network = this;
}
SimNetwork::~SimNetwork() { the_network = nullptr; }
SimNetwork* SimNetwork::current() { return the_network; }

void SimNetwork::note(uint64_t what) { digest_ = (digest_ ^ what) * 0x9e3779b97f4a7c15ULL + 1; }

int SimNetwork::fail(int error) {
  note(static_cast<uint64_t>(error));
  errno = error;
  return -1;
}

uint64_t SimNetwork::id_of(int fd) const {
  auto found = sockets_.find(fd);
  return found != sockets_.end() ? found->second : 0;
}

SimNetwork::Socket* SimNetwork::find(int fd) {
  note(static_cast<uint64_t>(fd));
  auto found = ends_.find(id_of(fd));
  return found != ends_.end() ? &found->second : nullptr;
}

// The lowest number that is free, as the kernel gives them: whoever closes twice closes somebody else's.
int SimNetwork::open(uint64_t id) {
  int fd = kFirstDescriptor;
  for (const auto& [taken, unused] : sockets_) {
    if (taken != fd) break;
    ++fd;
  }
  sockets_[fd] = id;
  ends_[id].fd = fd;
  note(static_cast<uint64_t>(fd));
  return fd;
}

// --- Making connections ----------------------------------------------------------------------------------------------

int SimNetwork::socket() {
  uint64_t id = next_id_++;
  ends_[id].capacity = kCapacities[random_.below(std::size(kCapacities))];
  return open(id);
}

int SimNetwork::set_option(int fd, int level, int name, const void* value) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  if (level != SOL_SOCKET) return 0;
  if (name == SO_REUSEPORT) socket->reuse_port = *static_cast<const int*>(value) != 0;
  if (name == SO_LINGER) {
    const auto& option = *static_cast<const linger*>(value);
    socket->abort_on_close = option.l_onoff != 0 && option.l_linger == 0;
  }
  return 0;
}

int SimNetwork::take_error(int fd) {
  Socket* socket = find(fd);
  return socket != nullptr ? std::exchange(socket->error, 0) : EBADF;
}

int SimNetwork::bind(int fd, uint16_t port) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  if (port == 0) {
    auto taken = [this](uint16_t wanted) {
      return std::any_of(ends_.begin(), ends_.end(), [&](const auto& end) { return end.second.port == wanted; });
    };
    do {
      next_port_ = next_port_ < 60'000 ? next_port_ + 1 : 20'000;
    } while (taken(next_port_));
    port = next_port_;
  } else {
    for (const auto& [id, other] : ends_) {
      bool shared = other.reuse_port && socket->reuse_port;
      if (other.state == State::kListening && other.port == port && !shared) return fail(EADDRINUSE);
    }
  }
  socket->port = port;
  return 0;
}

int SimNetwork::listen(int fd, int backlog) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  socket->state = State::kListening;
  socket->backlog = static_cast<size_t>(backlog);
  return 0;
}

int SimNetwork::connect(int fd, uint16_t port) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  if (socket->port == 0) bind(fd, 0);
  socket->state = State::kConnecting;
  socket->target = port;
  socket->wait = calm_ ? 0 : random_.below(300) == 0 ? kLost : random_.below(4);
  if (random_.below(4) == 0 && socket->wait == 0 && step_connect(*socket) && socket->error == 0) return 0;
  return fail(EINPROGRESS);
}

// Several on one port share its connections.
SimNetwork::Socket* SimNetwork::pick_listener(uint16_t port) {
  std::vector<Socket*> found;
  for (auto& [id, socket] : ends_) {
    if (socket.state == State::kListening && socket.port == port) found.push_back(&socket);
  }
  return found.empty() ? nullptr : found[random_.below(static_cast<uint32_t>(found.size()))];
}

bool SimNetwork::step_connect(Socket& socket) {
  if (socket.wait > 0) {
    --socket.wait;
    return false;
  }
  Socket* listener = pick_listener(socket.target);
  if (listener == nullptr) {
    socket.state = State::kConnected;
    socket.reset = true;
    socket.error = ECONNREFUSED;
    wake(socket);
    return true;
  }
  if (listener->queue.size() >= listener->backlog) return false;
  uint64_t id = next_id_++;
  Socket& other = ends_[id];
  other.state = socket.state = State::kConnected;
  other.port = socket.target;
  other.capacity = kCapacities[random_.below(std::size(kCapacities))];
  other.peer = id_of(socket.fd);
  socket.peer = id;
  listener->queue.push_back(id);
  wake(socket);
  wake(*listener);
  return true;
}

int SimNetwork::accept(int fd, uint16_t& remote_port) {
  Socket* listener = find(fd);
  if (listener == nullptr) return fail(EBADF);
  if (listener->queue.empty()) return fail(EAGAIN);
  if (!calm_ && random_.below(200) == 0) return fail(ECONNABORTED);
  uint64_t id = listener->queue.front();
  listener->queue.pop_front();
  auto peer = ends_.find(ends_[id].peer);
  remote_port = peer != ends_.end() ? peer->second.port : uint16_t{1};
  return open(id);
}

// --- Bytes -----------------------------------------------------------------------------------------------------------

size_t SimNetwork::room_towards(const Socket& peer) const {
  size_t used = peer.received.size() + peer.flight.size();
  return used < peer.capacity ? peer.capacity - used : 0;
}

ssize_t SimNetwork::send(int fd, std::string_view bytes) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  if (socket->state == State::kConnecting) return fail(EAGAIN);
  if (socket->error != 0) return fail(std::exchange(socket->error, 0));
  auto peer = ends_.find(socket->peer);
  if (socket->reset || socket->shut || peer == ends_.end()) return fail(EPIPE);
  size_t taken = std::min(bytes.size(), room_towards(peer->second));
  if (!calm_ && taken > 1 && random_.below(8) == 0) taken = 1 + random_.below(static_cast<uint32_t>(taken));
  if (taken < bytes.size()) socket->refused_bytes = true;
  if (taken == 0 && !bytes.empty()) return fail(EAGAIN);
  peer->second.flight += bytes.substr(0, taken);
  note(std::hash<std::string_view>()(bytes.substr(0, taken)));
  return static_cast<ssize_t>(taken);
}

ssize_t SimNetwork::receive(int fd, char* to, size_t room) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  if (!socket->received.empty()) {
    // All that there is: a short read means that no more is there.
    size_t taken = std::min(room, socket->received.size());
    std::memcpy(to, socket->received.data(), taken);
    socket->received.erase(0, taken);
    if (auto peer = ends_.find(socket->peer); peer != ends_.end()) offer_room(peer->second, *socket);
    note(taken);
    return static_cast<ssize_t>(taken);
  }
  if (socket->error != 0) return fail(std::exchange(socket->error, 0));
  if (socket->reset || socket->ended) return 0;
  return fail(EAGAIN);
}

void SimNetwork::offer_room(Socket& sender, const Socket& receiver) {
  if (!sender.refused_bytes || room_towards(receiver) < receiver.capacity / 3) return;
  sender.refused_bytes = false;
  wake(sender);
}

int SimNetwork::shutdown_write(int fd) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  auto peer = ends_.find(socket->peer);
  if (socket->shut || peer == ends_.end()) return fail(ENOTCONN);
  socket->shut = true;
  peer->second.end_in_flight = true;
  wake(*socket);
  return 0;
}

// The other side learns that this end is gone for good. What is on its way to it may be lost with that; what has
// arrived there can be read.
void SimNetwork::reset_peer(Socket& socket) {
  auto found = ends_.find(std::exchange(socket.peer, 0));
  if (found == ends_.end()) return;
  Socket& peer = found->second;
  peer.peer = 0;
  if (calm_ || random_.below(2) == 0) peer.received += peer.flight;
  peer.flight.clear();
  peer.reset = true;
  peer.error = ECONNRESET;
  if (is_closed(peer)) {
    ends_.erase(found);
  } else {
    wake(peer);
  }
}

ssize_t SimNetwork::fill_pipe(uint64_t pipe, int from, size_t most) {
  std::string& bytes = pipes_[pipe];
  size_t room = std::min(most, kPipeCapacity - std::min(bytes.size(), kPipeCapacity));
  if (room == 0) return fail(EAGAIN);
  // It may stop before the socket is empty.
  if (!calm_ && random_.below(4) == 0) room = 1 + random_.below(static_cast<uint32_t>(room));
  std::string piece(room, ' ');
  const ssize_t n = receive(from, piece.data(), room);
  if (n > 0) bytes.append(piece, 0, static_cast<size_t>(n));
  return n;
}

ssize_t SimNetwork::drain_pipe(uint64_t pipe, int to, size_t most) {
  std::string& bytes = pipes_[pipe];
  const ssize_t n = send(to, std::string_view(bytes).substr(0, most));
  if (n > 0) bytes.erase(0, static_cast<size_t>(n));
  if (bytes.empty()) pipes_.erase(pipe);
  return n;
}

int SimNetwork::close(int fd) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  uint64_t id = id_of(fd);
  sockets_.erase(fd);
  for (auto& [epoll, watched] : watched_) watched.erase(fd);
  socket->fd = -1;
  for (uint64_t queued : std::exchange(socket->queue, {})) {
    reset_peer(ends_[queued]);
    ends_.erase(queued);
  }
  auto peer = ends_.find(socket->peer);
  if (peer == ends_.end()) {
    ends_.erase(id);
  } else if (is_closed(peer->second)) {
    ends_.erase(peer);
    ends_.erase(id);
  } else if (socket->abort_on_close || !socket->received.empty()) {
    reset_peer(*socket);
    ends_.erase(id);
  } else {
    socket->state = State::kClosed;
    socket->shut = true;
    peer->second.end_in_flight = true;
  }
  return 0;
}

// --- Time for things to arrive ---------------------------------------------------------------------------------------

bool SimNetwork::step_arrival(uint64_t id, Socket& socket) {
  bool end_arrives = socket.end_in_flight && !socket.ended;
  if (socket.flight.empty() && !end_arrives) return false;
  if (!calm_ && random_.below(4) == 0) return true;  // late
  if (is_closed(socket) && !socket.flight.empty()) {
    // Bytes for nobody.
    reset_peer(socket);
    ends_.erase(id);
    return true;
  }
  size_t arriving = socket.flight.size();
  if (!calm_ && arriving > 1 && random_.below(3) == 0) arriving = 1 + random_.below(static_cast<uint32_t>(arriving));
  socket.received.append(socket.flight, 0, arriving);
  socket.flight.erase(0, arriving);
  if (end_arrives && socket.flight.empty()) socket.ended = true;
  wake(socket);
  return true;
}

bool SimNetwork::step() {
  bool moved = false;
  std::vector<uint64_t> ids;
  for (const auto& [id, socket] : ends_) ids.push_back(id);
  if (!calm_) {
    for (size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random_.below(static_cast<uint32_t>(i))]);
  }
  for (uint64_t id : ids) {
    auto found = ends_.find(id);
    if (found == ends_.end()) continue;
    Socket& socket = found->second;
    if (socket.state == State::kConnecting) {
      if (calm_) socket.wait = 0;
      moved |= step_connect(socket);
      continue;
    }
    if (auto peer = ends_.find(socket.peer); peer != ends_.end()) offer_room(socket, peer->second);
    moved |= step_arrival(id, socket);
  }
  return moved;
}

// --- Readiness -------------------------------------------------------------------------------------------------------

uint32_t SimNetwork::readiness(const Socket& socket) const {
  uint32_t ready = 0;
  switch (socket.state) {
    case State::kNew:
      return EPOLLOUT | EPOLLHUP;
    case State::kListening:
      return socket.queue.empty() ? 0 : uint32_t{EPOLLIN};
    case State::kConnecting:
    case State::kClosed:
      return 0;
    case State::kConnected:
      break;
  }
  if (!socket.received.empty() || socket.ended || socket.reset) ready |= EPOLLIN;
  if (socket.ended || socket.reset) ready |= EPOLLRDHUP;
  if (socket.reset || (socket.ended && socket.shut)) ready |= EPOLLHUP;
  if (socket.error != 0) ready |= EPOLLERR;
  auto peer = ends_.find(socket.peer);
  if (socket.reset || peer == ends_.end() || room_towards(peer->second) >= peer->second.capacity / 3) ready |= EPOLLOUT;
  return ready;
}

void SimNetwork::wake(const Socket& socket) {
  if (socket.fd < 0) return;
  for (auto& [epoll, watched] : watched_) {
    auto found = watched.find(socket.fd);
    if (found == watched.end() || found->second.pending) continue;
    found->second.pending = true;
    found->second.order = next_order_++;
  }
}

int SimNetwork::watch(int epoll, int fd, const epoll_event& wanted) {
  Socket* socket = find(fd);
  if (socket == nullptr) return fail(EBADF);
  auto [at, fresh] = watched_[epoll].try_emplace(fd);
  if (!fresh) return fail(EEXIST);
  at->second = {wanted.events, wanted.data.ptr, true, next_order_++};
  return 0;
}

int SimNetwork::change_watch(int epoll, int fd, const epoll_event& wanted) {
  const int forgotten = forget(epoll, fd);
  return forgotten == 0 ? watch(epoll, fd, wanted) : forgotten;
}

int SimNetwork::forget(int epoll, int fd) {
  if (find(fd) == nullptr) return fail(EBADF);
  return watched_[epoll].erase(fd) == 1 ? 0 : fail(ENOENT);
}

int SimNetwork::ready(int epoll, epoll_event* events, int room) {
  std::vector<std::pair<uint64_t, Watch*>> found;
  std::map<Watch*, uint32_t> bits;
  for (auto& [fd, watch] : watched_[epoll]) {
    bool edge = (watch.events & EPOLLET) != 0;
    if (edge && !watch.pending) continue;
    uint32_t ready = readiness(*find(fd)) & (watch.events | EPOLLERR | EPOLLHUP);
    if (ready == 0) {
      watch.pending = false;
      continue;
    }
    found.emplace_back(watch.order, &watch);
    bits[&watch] = ready;
  }
  std::sort(found.begin(), found.end());
  // Nobody promises an order.
  if (!calm_ && random_.below(2) == 0) {
    for (size_t i = found.size(); i > 1; --i) std::swap(found[i - 1], found[random_.below(static_cast<uint32_t>(i))]);
  }
  int count = 0;
  for (auto& [order, watch] : found) {
    if (count == room) break;
    watch->pending = false;
    events[count].events = bits[watch];
    events[count++].data.ptr = watch->data;
  }
  note(static_cast<uint64_t>(count));
  return count;
}

uint16_t SimNetwork::port_of(int fd) {
  Socket* socket = find(fd);
  return socket != nullptr ? socket->port : uint16_t{0};
}

}  // namespace weir::sim
