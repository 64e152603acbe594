#include "core/net/datagrams.h"

#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/log.h"

// Of linux/udp.h, which cannot be included beside the header of the C library.
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace weir::net {

namespace {

// The kernel's: datagrams of one message that it cuts up, and its bytes.
constexpr unsigned kMostSegments = 64;
constexpr size_t kMostBytes = 65000;

template <class T>
void put_control(msghdr& head, int level, int type, const T& value) {
  auto* control = reinterpret_cast<cmsghdr*>(static_cast<char*>(head.msg_control) + head.msg_controllen);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof value);
  memcpy(CMSG_DATA(control), &value, sizeof value);
  head.msg_controllen += CMSG_SPACE(sizeof value);
}

void put_segment_size(msghdr& head, uint32_t size) {
  put_control(head, IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(size));
}

// Where a datagram leaves from. A socket for both families takes the addresses of each in its own form.
void put_source(msghdr& head, const Address& from) {
  sockaddr_storage storage;
  from.to_sockaddr(storage);
  if (storage.ss_family == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<sockaddr_in&>(storage).sin_addr;
    put_control(head, IPPROTO_IP, IP_PKTINFO, info);
  } else if (storage.ss_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<sockaddr_in6&>(storage).sin6_addr;
    info.ipi6_ifindex = from.scope_id();
    put_control(head, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

// The kernel cuts no messages up here: the device or the route does not allow it, or the pieces are too large for it.
bool is_refusal_to_cut(int error) {
  return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP;
}

bool is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM; }

}  // namespace

bool enable_gro(int fd) {
  const int on = 1;
  return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;
}

// --- DatagramReader ------------------------------------------------------------------------------------------------

DatagramReader::DatagramReader() : buffer_(new char[kBuffer]) {}

void DatagramReader::set_up(Heads& heads, const DatagramOptions& options) {
  const size_t slot = options.gro ? kPiece : std::max<size_t>(64, options.max_size);
  if (heads.slot == slot && heads.gro == options.gro) [[likely]]
    return;
  heads.slot = slot;
  heads.gro = options.gro;
  heads.count = static_cast<unsigned>(std::clamp<size_t>(kBuffer / slot, 1, kMost));
  for (unsigned i = 0; i < heads.count; ++i) {
    heads.pieces[i] = {buffer_.get() + i * slot, slot};
    msghdr& head = heads.messages[i].msg_hdr;
    head = {};
    head.msg_iov = &heads.pieces[i];
    head.msg_iovlen = 1;
    head.msg_name = heads.names ? &heads.peers[i] : nullptr;
    head.msg_control = heads.names || options.gro ? heads.controls[i] : nullptr;
  }
  give_back(heads, heads.count);
}

void DatagramReader::give_back(Heads& heads, unsigned taken) {
  for (unsigned i = 0; i < taken; ++i) {
    msghdr& head = heads.messages[i].msg_hdr;
    head.msg_namelen = heads.names ? sizeof heads.peers[i] : 0;
    head.msg_controllen = head.msg_control != nullptr ? kControl : 0;
  }
}

DatagramReader::Outcome DatagramReader::receive(Heads& heads, int fd, const DatagramOptions& options, unsigned most) {
  set_up(heads, options);
  Outcome outcome;
  most = std::min(most, heads.count);
  if (most == 1) {
    const ssize_t bytes = recvmsg(fd, &heads.messages[0].msg_hdr, MSG_DONTWAIT);
    if (bytes >= 0) {
      heads.messages[0].msg_len = static_cast<unsigned>(bytes);
      outcome.taken = 1;
    } else {
      outcome.error = errno;
    }
    return outcome;
  }
  const int taken = recvmmsg(fd, heads.messages, most, MSG_DONTWAIT, nullptr);
  if (taken < 0) {
    outcome.error = errno;
  } else {
    outcome.taken = static_cast<unsigned>(taken);
  }
  return outcome;
}

bool DatagramReader::look_at(const Heads& heads, unsigned index, const DatagramOptions& options, Datagrams& datagrams,
                             Address* local, Outcome& outcome) {
  const mmsghdr& message = heads.messages[index];
  datagrams.bytes = {static_cast<const char*>(heads.pieces[index].iov_base), message.msg_len};
  auto* head = const_cast<msghdr*>(&message.msg_hdr);
  for (cmsghdr* at = head->msg_controllen != 0 ? CMSG_FIRSTHDR(head) : nullptr; at != nullptr;
       at = CMSG_NXTHDR(head, at)) {
    if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
      int size = 0;
      memcpy(&size, CMSG_DATA(at), sizeof size);
      if (size > 0 && static_cast<size_t>(size) < datagrams.bytes.size()) datagrams.size = static_cast<uint32_t>(size);
    } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SO_RXQ_OVFL) {
      memcpy(&outcome.kernel_drops, CMSG_DATA(at), sizeof outcome.kernel_drops);
    } else if (local != nullptr && at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(at), sizeof info);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      // Not that of the header, which may be a broadcast: replies cannot come from there.
      to.sin_addr = info.ipi_spec_dst;
      *local = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&to), sizeof to);
    } else if (local != nullptr && at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, CMSG_DATA(at), sizeof info);
      sockaddr_in6 to{};
      to.sin6_family = AF_INET6;
      to.sin6_addr = info.ipi6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) to.sin6_scope_id = static_cast<uint32_t>(info.ipi6_ifindex);
      *local = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&to), sizeof to);
    }
  }
  const size_t largest = datagrams.size != 0 ? datagrams.size : datagrams.bytes.size();
  if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0 || largest > options.max_size) [[unlikely]] {
    outcome.too_large += datagrams.count();
    return false;
  }
  return true;
}

// --- ConnectedSender -----------------------------------------------------------------------------------------------

ConnectedSender::Outcome ConnectedSender::send(int fd, const iovec* pieces, unsigned count) {
  Outcome outcome;
  if (count == 1) {
    if (::send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      outcome.failed = 1;
      outcome.error = errno;
    }
    return outcome;
  }
  size_t bytes = 0;
  bool same = pieces[0].iov_len != 0 && pieces[count - 1].iov_len <= pieces[0].iov_len &&
              pieces[count - 1].iov_len != 0 && count <= kMostSegments;
  for (unsigned i = 0; i < count; ++i) {
    bytes += pieces[i].iov_len;
    same = same && (i + 1 == count || pieces[i].iov_len == pieces[0].iov_len);
  }
  if (same && bytes <= kMostBytes) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
    msghdr head{};
    head.msg_iov = const_cast<iovec*>(pieces);
    head.msg_iovlen = count;
    head.msg_control = control;
    put_segment_size(head, static_cast<uint32_t>(pieces[0].iov_len));
    if (sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return outcome;
    if (!is_refusal_to_cut(errno)) {
      outcome.failed = count;
      outcome.error = errno;
      return outcome;
    }
  }
  mmsghdr messages[DatagramReader::kMost];
  unsigned at = 0;
  while (at < count) {
    const unsigned some = std::min(count - at, DatagramReader::kMost);
    for (unsigned i = 0; i < some; ++i) {
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = const_cast<iovec*>(&pieces[at + i]);
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(fd, messages, some, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<unsigned>(sent);
      continue;
    }
    outcome.error = errno;
    if (is_full(outcome.error)) {
      outcome.failed += count - at;
      return outcome;
    }
    ++outcome.failed;  // this one alone: the next may be smaller, or the error that of an earlier one
    ++at;
  }
  return outcome;
}

ConnectedSender::Outcome ConnectedSender::send(int fd, const Datagrams& datagrams) {
  iovec pieces[DatagramReader::kMost];
  if (datagrams.size == 0) {
    pieces[0] = {const_cast<char*>(datagrams.bytes.data()), datagrams.bytes.size()};
    return send(fd, pieces, 1);
  }
  Outcome outcome;
  for (std::string_view rest = datagrams.bytes; !rest.empty();) {
    unsigned count = 0;
    size_t bytes = 0;
    for (; count < DatagramReader::kMost && !rest.empty(); ++count) {
      const std::string_view one = rest.substr(0, datagrams.size);
      if (count != 0 && bytes + one.size() > kMostBytes) break;
      pieces[count] = {const_cast<char*>(one.data()), one.size()};
      bytes += one.size();
      rest.remove_prefix(one.size());
    }
    const Outcome part = send(fd, pieces, count);
    outcome.failed += part.failed;
    if (part.error != 0) outcome.error = part.error;
  }
  return outcome;
}

// --- DatagramQueue -------------------------------------------------------------------------------------------------

bool DatagramQueue::join(const Address& to, const Address& from, std::string_view bytes, uint64_t sender) {
  if (count_ == 0 || !gso_) return false;
  Message& last = memory_->messages[count_ - 1];
  const size_t size = last.datagrams.size != 0 ? last.datagrams.size : last.datagrams.bytes.size();
  if (last.closed || bytes.empty() || bytes.size() > size || last.datagrams.count() >= kMostSegments ||
      last.datagrams.bytes.size() + bytes.size() > kMostBytes || last.sender != sender || last.to != to ||
      last.from != from)
    return false;
  last.datagrams.size = static_cast<uint32_t>(size);
  last.datagrams.bytes = {last.datagrams.bytes.data(), last.datagrams.bytes.size() + bytes.size()};
  last.closed = bytes.size() < size;
  return true;
}

void DatagramQueue::add(const Address& to, const Address& from, const Datagrams& datagrams, uint64_t sender) {
  if (memory_ == nullptr) [[unlikely]]
    memory_ = std::make_unique<Memory>();
  const std::string_view bytes = datagrams.bytes;
  if (bytes.size() > kLargeCopy) {
    flush();
    memory_->messages[0] = {to, from, datagrams, sender, true};
    count_ = 1;
    flush();
    return;
  }
  if (used_ + bytes.size() > kBytes) flush();
  char* copy = memory_->bytes + used_;
  memcpy(copy, bytes.data(), bytes.size());
  if (datagrams.size == 0 && join(to, from, {copy, bytes.size()}, sender)) {
    used_ += bytes.size();
    return;
  }
  if (count_ == kMost) {
    flush();
    copy = memory_->bytes;
    memcpy(copy, bytes.data(), bytes.size());
  }
  memory_->messages[count_++] = {to, from, {{copy, bytes.size()}, datagrams.size}, sender, datagrams.size != 0};
  used_ += bytes.size();
}

void DatagramQueue::prepare(unsigned index, const Message& message) {
  msghdr& head = memory_->heads[index].msg_hdr;
  head = {};
  head.msg_namelen = message.to.to_sockaddr(memory_->peers[index]);
  head.msg_name = &memory_->peers[index];
  memory_->pieces[index] = {const_cast<char*>(message.datagrams.bytes.data()), message.datagrams.bytes.size()};
  head.msg_iov = &memory_->pieces[index];
  head.msg_iovlen = 1;
  if (message.from.empty() && message.datagrams.size == 0) return;
  head.msg_control = memory_->controls[index];
  memset(memory_->controls[index], 0, kControl);
  if (!message.from.empty()) put_source(head, message.from);
  if (message.datagrams.size != 0) put_segment_size(head, message.datagrams.size);
}

uint32_t DatagramQueue::send_one_by_one(const Message& message) {
  uint32_t failed = 0;
  for (std::string_view rest = message.datagrams.bytes; !rest.empty();) {
    Message one = message;
    one.datagrams = {rest.substr(0, message.datagrams.size), 0};
    prepare(0, one);
    if (sendmsg(fd_, &memory_->heads[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) ++failed;
    rest.remove_prefix(one.datagrams.bytes.size());
  }
  return failed;
}

void DatagramQueue::flush() {
  unsigned at = 0;
  while (at < count_) {
    const unsigned some = count_ - at;
    for (unsigned i = 0; i < some; ++i) prepare(i, memory_->messages[at + i]);
    const int sent = some == 1 ? (sendmsg(fd_, &memory_->heads[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 1 : -1)
                               : sendmmsg(fd_, memory_->heads, some, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<unsigned>(sent);
      continue;
    }
    const int error = errno;
    const Message& message = memory_->messages[at];
    if (is_full(error)) {
      for (; at < count_; ++at) fail(memory_->messages[at], memory_->messages[at].datagrams.count());
      break;
    }
    if (message.datagrams.size != 0 && is_refusal_to_cut(error)) {
      gso_ = false;
      if (const uint32_t failed = send_one_by_one(message); failed != 0) fail(message, failed);
    } else {
      fail(message, message.datagrams.count());
    }
    ++at;
  }
  count_ = 0;
  used_ = 0;
}

// --- DatagramSocket ------------------------------------------------------------------------------------------------

DatagramSocket::DatagramSocket(event::Lane& lane, int fd, const Address& local, const DatagramOptions& options,
                               DatagramReader& reader, DatagramHandler& handler)
    : lane_(lane), fd_(fd), local_(local), reader_(reader), handler_(handler), queue_(fd, handler) {
  // Another process may have opened it: what that one has set and was told is not this one's.
  const int off = 0;
  setsockopt(fd_, IPPROTO_UDP, UDP_GRO, &off, sizeof off);
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0) kernel_drops_ = memory[SK_MEMINFO_DROPS];
  set_options(options);
  lane_.poller().add_level(fd_, *this);
}

DatagramSocket::~DatagramSocket() { shut(); }

// Another process may hold the same socket: the poller is told that this one has done with it.
void DatagramSocket::shut() {
  if (fd_ < 0) return;
  on_end_of_turn();
  if (reading_) lane_.poller().remove(fd_);
  close(fd_);
  fd_ = -1;
}

void DatagramSocket::set_options(const DatagramOptions& options) {
  const int on = options.gro ? 1 : 0;
  if (options.gro != options_.gro && setsockopt(fd_, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0) {
    WEIR_LOG(kWarning, "net", "%s: prefer_gro has no effect: %s", local_.to_string().c_str(), strerror(errno));
  }
  options_ = options;
}

void DatagramSocket::send(const Address& to, const Address& from, const Datagrams& datagrams, uint64_t sender) {
  if (fd_ < 0) return;
  queue_.add(to, from, datagrams, sender);
  if (!queue_.empty()) lane_.at_end_of_turn(*this);
}

void DatagramSocket::on_end_of_turn() {
  if (fd_ >= 0) queue_.flush();
}

// One batch in a turn: other sockets have their turn, too.
void DatagramSocket::on_ready(uint32_t) {
  if (fd_ >= 0 && reading_) read_batch();
}

unsigned DatagramSocket::read_batch() {
  const DatagramReader::Outcome outcome =
      reader_.read_bound(fd_, options_, DatagramReader::kMost,
                         [this](const Address& peer, const Address& local, const Datagrams& datagrams) {
                           handler_.on_datagrams(peer, local, datagrams);
                         });
  if (outcome.taken != 0) handler_.on_batch_end();
  uint64_t dropped = outcome.too_large;
  if (outcome.kernel_drops != 0) dropped += static_cast<uint32_t>(outcome.kernel_drops - kernel_drops_);
  if (outcome.kernel_drops != 0) kernel_drops_ = outcome.kernel_drops;
  if (dropped != 0) handler_.on_dropped(dropped);
  if (outcome.error != 0 && outcome.error != EAGAIN) handler_.on_receive_failed();
  return outcome.taken;
}

bool DatagramSocket::stop_reading(bool shared) {
  if (fd_ < 0 || !reading_) return fd_ >= 0;
  const bool can_stay = shared || stop_hearing();
  // As many as a full buffer can hold: senders that go on do not keep it open.
  for (int i = 0; i < 64 && read_batch() != 0; ++i) {
  }
  lane_.poller().remove(fd_);
  reading_ = false;
  if (!can_stay) shut();
  return can_stay;
}

// A socket that is connected hears its peer alone: this one has itself for one, and nobody else has its address. To the
// kernel, and to sockets that share the address, it is as good as closed.
bool DatagramSocket::stop_hearing() {
  sockaddr_storage own;
  socklen_t size = sizeof own;
  return getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
         connect(fd_, reinterpret_cast<sockaddr*>(&own), size) == 0;
}

}  // namespace weir::net
