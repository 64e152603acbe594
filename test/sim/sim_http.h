// What the simulator's clients and servers speak with: non-blocking sockets moved by hand, and a small HTTP/1
// reader of their own, so that weir's code is not tested with itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/random.h"

namespace weir::sim {

// The body that belongs to a number: nobody else's bytes look like it.
std::string pattern(uint64_t id, size_t size);

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // To 127.0.0.1; false: refused at once.
  bool connect(uint16_t port);
  bool open() const { return fd_ >= 0; }
  // Sends up to `most` bytes of `out`. True if something moved.
  bool send_some(size_t most);
  // Reads up to `most` bytes to the end of `in`. True if something moved.
  bool receive_some(size_t most);
  bool peer_ended() const { return peer_ended_; }
  bool failed() const { return failed_; }  // reset or refused
  void half_close();
  void reset();
  void close();

  std::string in;
  std::string out;

 private:
  int fd_;
  bool peer_ended_ = false;
  bool failed_ = false;
};

// Bound to 127.0.0.1, port chosen by the kernel.
int listen_on_loopback(uint16_t& port);

// One message at a time off the front of a string.
class MessageReader {
 public:
  enum class State : uint8_t { kHead, kBody, kDone, kBad };
  enum class Role : uint8_t { kRequests, kResponses };
  explicit MessageReader(Role role) : role_(role) {}

  // For responses: to which method; before the response.
  void begin(std::string_view method) {
    *this = MessageReader(role_);
    method_ = method;
  }
  // Takes what it can. `ended`: nothing follows.
  void read(std::string& in, bool ended);
  State state() const { return state_; }
  bool has_head() const { return state_ != State::kHead && state_ != State::kBad; }
  bool done() const { return state_ == State::kDone; }

  const std::string& first_line() const { return first_line_; }
  const std::string& method() const { return method_; }
  const std::string& path() const { return path_; }
  int status() const { return status_; }
  std::string header(const std::string& name) const {
    auto found = headers_.find(name);
    return found != headers_.end() ? found->second : std::string();
  }
  bool has_header(const std::string& name) const { return headers_.contains(name); }
  const std::string& body() const { return body_; }
  // Of a response: what follows its head is the tunnel's, to its end.
  bool in_tunnel() const {
    return has_head() && role_ == Role::kResponses && (status_ == 101 || (method_ == "CONNECT" && status_ / 100 == 2));
  }
  int informational() const { return informational_; }

 private:
  enum class Framing : uint8_t { kNone, kLength, kChunked, kUntilClose };
  void read_head(std::string& in);
  void read_body(std::string& in, bool ended);

  Role role_;
  State state_ = State::kHead;
  Framing framing_ = Framing::kNone;
  size_t left_ = 0;  // kLength
  std::string first_line_;
  std::string method_;
  std::string path_;
  int status_ = 0;
  int informational_ = 0;
  std::map<std::string, std::string> headers_;
  std::string body_;
};

}  // namespace weir::sim
