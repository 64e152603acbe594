// What two generations of a process say to each other while one takes over from the other: messages of a kind, a text
// and at most one descriptor, over a Unix socket (SOCK_SEQPACKET). [main]
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/base/time.h"

namespace weir::server {

struct Options;

// Processes of different protocols do not take over from each other.
inline constexpr std::string_view kRestartProtocol = "1";
// As --hot-restart-version and /hot_restart_version say it.
std::string restart_version(const Options& options);

// Where the process of these options waits for its successor: "@name" is abstract.
std::string restart_address(const Options& options);

struct LinkMessage {
  std::string kind;
  std::string text;
  int fd = -1;  // the receiver's

  // The value of "name" in a text of lines "name=value"; empty if there is none.
  std::string get(std::string_view name) const;
  uint64_t number(std::string_view name) const;
};

class Link {
 public:
  static constexpr size_t kMaxText = 48 * 1024;

  Link() = default;
  // `fd` is owned.
  explicit Link(int fd) : fd_(fd) {}
  ~Link();
  Link(Link&& other) noexcept : fd_(other.release()) {}
  Link& operator=(Link&& other) noexcept;

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int release();
  void close();
  pid_t peer_pid() const;
  uid_t peer_user() const;

  // `fd` stays the caller's. Waits at most so long for the other side to read. False: it has gone, or does not read.
  bool send(std::string_view kind, std::string_view text = {}, int fd = -1, Duration wait = 5s);
  enum class Got : uint8_t { kMessage, kNothing, kEnd };
  // Does not wait. kEnd: the other side has closed, or sent what is no message.
  Got receive(LinkMessage& out);
  // Waits for the next one at most so long; kNothing: the time is over.
  Got receive_within(Duration time, LinkMessage& out);
  // What has come is dropped, and nothing more comes: what was sent before this is closed can be read there then.
  void stop_receiving();

 private:
  int fd_ = -1;
};

// Of connections that could not be made: nobody listens there.
inline constexpr absl::StatusCode kNobodyThere = absl::StatusCode::kNotFound;

// Connects to the process that waits at this address.
Result<Link> connect_link(const std::string& address);
// A listening socket at it. `mode`: of a file. An error says which process has it.
Result<int> listen_link(const std::string& address, uint32_t mode);
// Of a listening socket that another process has opened: who connects is told that it is this one's, unless that one
// was another user's.
void claim_link(int listening);
// The next that waits, or one that is not open.
Link accept_link(int listening);

}  // namespace weir::server
