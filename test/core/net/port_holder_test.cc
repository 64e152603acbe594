#include "core/net/port_holder.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/net/socket.h"

namespace weir::net {
namespace {

// Another process that listens on an address until it is told to end.
class Listener {
 public:
  explicit Listener(const Address& address) {
    auto fd = open_listen_socket(address, {.reuse_port = false});
    EXPECT_TRUE(fd.ok()) << fd.status();
    address_ = bound_address(*fd);
    int pipe_ends[2];
    EXPECT_EQ(pipe(pipe_ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(pipe_ends[1]);
      char end;
      _exit(read(pipe_ends[0], &end, 1) == 0 ? 0 : 1);
    }
    close(pipe_ends[0]);
    close(*fd);
    until_ = pipe_ends[1];
  }
  ~Listener() {
    close(until_);
    waitpid(pid_, nullptr, 0);
  }
  const Address& address() const { return address_; }
  std::string expected() const { return "held by core_net_test (pid " + std::to_string(pid_) + ")"; }

 private:
  Address address_;
  pid_t pid_;
  int until_;
};

TEST(PortHolderTest, NamesTheProcess) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    Listener other(*Address::from_ip(ip, 0));
    EXPECT_EQ(describe_holder(other.address()), other.expected()) << ip;
    auto taken = open_listen_socket(other.address(), {.reuse_port = false});
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(message_of(taken.status()),
              "cannot bind " + other.address().to_string() + ": Address already in use; " + other.expected());
  }
}

TEST(PortHolderTest, AWildcardHoldsEveryAddress) {
  Listener any(*Address::from_ip("0.0.0.0", 0));
  EXPECT_EQ(describe_holder(*Address::from_ip("127.0.0.1", any.address().port())), any.expected());
  Listener one(*Address::from_ip("127.0.0.1", 0));
  EXPECT_EQ(describe_holder(*Address::from_ip("0.0.0.0", one.address().port())), one.expected());
}

TEST(PortHolderTest, UnixSockets) {
  std::string path = "/tmp/weir-port-holder-" + std::to_string(getpid());
  for (const std::string& name : {path, "@" + path}) {
    Listener other(*Address::from_unix(name));
    EXPECT_EQ(describe_holder(*Address::from_unix(name)), other.expected()) << name;
  }
  unlink(path.c_str());
}

TEST(PortHolderTest, ItselfAndNobody) {
  auto fd = open_listen_socket(*Address::from_ip("127.0.0.1", 0), {.reuse_port = false});
  ASSERT_TRUE(fd.ok());
  Address address = bound_address(*fd);
  EXPECT_EQ(describe_holder(address), "held by this process itself");
  close(*fd);
  EXPECT_EQ(describe_holder(address), "who holds it is not to be seen from here (ss -ltnp as root may tell)");
}

}  // namespace
}  // namespace weir::net
