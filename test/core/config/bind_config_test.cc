// From the message about upstream binding to sockets, asked of the kernel.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "core/config/address_config.h"
#include "core/net/socket.h"
#include "envoy/config/core/v3/address.pb.h"
#include "test/support/plugin_scope.h"

namespace weir::config {
namespace {

class BindConfigTest : public testing::Test {
 protected:
  ~BindConfigTest() override { reset(); }
  net::BindOptions bind_options(const std::string& text) {
    envoy::config::core::v3::BindConfig proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto));
    return translate_bind_config(proto, {plugins_.scope().report(), "bind"});
  }
  // What comes of a new socket.
  Status bind(const std::string& text, int type = SOCK_STREAM, const char* to = "127.0.0.1") {
    reset();
    const net::BindOptions options = bind_options(text);
    const net::Address remote = *net::Address::from_ip(to, 80);
    fd_ = socket(remote.family() == net::Family::kIpv6 ? AF_INET6 : AF_INET, type, 0);
    return net::bind_towards(
        fd_, remote, type == SOCK_STREAM ? net::SocketOption::Kind::kStream : net::SocketOption::Kind::kDatagram,
        options, options.source);
  }
  int option(int level, int name) const {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(fd_, level, name, &value, &size), 0);
    return value;
  }
  static std::string with(int level, int name, const std::string& rest) {
    return "socket_options { level: " + std::to_string(level) + " name: " + std::to_string(name) + " " + rest + " } ";
  }

  test::PluginScope plugins_;
  const std::string here_ = "source_address { address: '127.0.0.77' port_value: 0 } ";
  // TEST-NET-1, which no machine has.
  const std::string nowhere_ = "source_address { address: '192.0.2.1' port_value: 0 } ";

 private:
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd_ = -1;
};

// field: BindConfig.source_address, BindConfig.freebind
TEST_F(BindConfigTest, AnAddressThatIsNotThereYet) {
  const Status refused = bind(nowhere_);
  EXPECT_NE(refused.message().find("cannot bind the end 192.0.2.1:0 of a socket to 127.0.0.1:80: "), std::string::npos)
      << refused.message();
  EXPECT_NE(refused.message().find("freebind would allow it"), std::string::npos);
  EXPECT_FALSE(bind(nowhere_ + "freebind { value: false }").ok());
  EXPECT_TRUE(bind(nowhere_ + "freebind { value: true }").ok());
  EXPECT_EQ(option(IPPROTO_IP, IP_FREEBIND), 1);
  EXPECT_TRUE(bind(nowhere_ + "freebind { value: true }", SOCK_DGRAM).ok());
  EXPECT_TRUE(bind(here_).ok());
  EXPECT_EQ(option(IPPROTO_IP, IP_FREEBIND), 0);
}

// field: BindConfig.socket_options, SocketOption.state
TEST_F(BindConfigTest, BeforeAndAfter) {
  for (const char* state : {"STATE_PREBIND", "STATE_BOUND"}) {
    const std::string lowat = with(SOL_SOCKET, SO_RCVLOWAT, std::string("int_value: 7 state: ") + state);
    EXPECT_TRUE(bind(lowat).ok());  // bound to nothing
    EXPECT_EQ(option(SOL_SOCKET, SO_RCVLOWAT), 7) << state;
    EXPECT_TRUE(bind(here_ + lowat).ok());
    EXPECT_EQ(option(SOL_SOCKET, SO_RCVLOWAT), 7) << state;
    // Behind bind() it comes too late.
    const Status early = bind(nowhere_ + with(IPPROTO_IP, IP_FREEBIND, std::string("int_value: 1 state: ") + state));
    EXPECT_EQ(early.ok(), std::string(state) == "STATE_PREBIND") << state;
  }
  const Status unknown = bind(with(SOL_SOCKET, 32000, "int_value: 1"));
  EXPECT_NE(unknown.message().find("cannot set the socket option 1/32000 of a socket to 127.0.0.1:80"),
            std::string::npos);
  // There is no such moment: said, and not done.
  EXPECT_TRUE(bind_options(with(SOL_SOCKET, 32000, "int_value: 1 state: STATE_LISTENING")).empty());
  EXPECT_TRUE(plugins_.error_texts().empty());
  EXPECT_EQ(plugins_.warning_texts().size(), 1u);
}

// field: SocketOption.type, SocketOption.ip_version
TEST_F(BindConfigTest, OptionsOfOtherSockets) {
  const auto on = [](const std::string& rest) { return with(SOL_SOCKET, SO_KEEPALIVE, "int_value: 1 " + rest); };
  EXPECT_TRUE(bind(on("type { datagram {} }")).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_TRUE(bind(on("type { stream {} }")).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  const std::string of_udp = with(SOL_SOCKET, SO_BROADCAST, "int_value: 1 type { datagram {} }");
  EXPECT_TRUE(bind(of_udp, SOCK_DGRAM).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_BROADCAST), 1);
  EXPECT_TRUE(bind(with(SOL_SOCKET, SO_BROADCAST, "int_value: 1 type { stream {} }"), SOCK_DGRAM).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_BROADCAST), 0);
  EXPECT_TRUE(bind(on("ip_version: SOCKET_IP_VERSION_IPV6")).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_TRUE(bind(on("ip_version: SOCKET_IP_VERSION_IPV4")).ok());
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
}

}  // namespace
}  // namespace weir::config
