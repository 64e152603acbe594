// Our sides with those of openssl(1), which do what ours never would: renegotiate.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "core/net/socket.h"
#include "test/core/tls/ends.h"

namespace weir::tls {
namespace {

// openssl(1) with pipes to its standard input and from its output.
class Openssl {
 public:
  explicit Openssl(std::vector<std::string> arguments) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      dup2(out[1], 2);
      std::vector<char*> argv{const_cast<char*>("openssl")};
      for (std::string& one : arguments) argv.push_back(one.data());
      argv.push_back(nullptr);
      execv("/usr/bin/openssl", argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = out[0];
    fcntl(out_, F_SETFL, O_NONBLOCK);
  }
  ~Openssl() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(in_);
    close(out_);
  }
  void type(std::string_view text) {
    ASSERT_EQ(write(in_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  const std::string& output() {
    char bytes[4096];
    ssize_t n = 0;
    while ((n = read(out_, bytes, sizeof(bytes))) > 0) output_.append(bytes, static_cast<size_t>(n));
    return output_;
  }
  int output_fd() const { return out_; }

 private:
  pid_t pid_;
  int in_, out_;
  std::string output_;
};

class PeersTest : public TlsTest {
 protected:
  // A real peer takes real time.
  template <class Done>
  bool wait_for(Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      lane.turn();
      if (done()) return true;
      std::vector<pollfd> all;
      for (const Side* side : {client.get(), server.get()}) {
        if (side != nullptr && side->connection->open()) all.push_back({side->connection->fd(), POLLIN, 0});
      }
      if (peer_ != nullptr) {
        peer_->output();
        all.push_back({peer_->output_fd(), POLLIN, 0});
      }
      poll(all.data(), all.size(), 5);
    }
    return false;
  }
  std::string file(const std::string& name, const std::string& contents) {
    const std::string path = ::testing::TempDir() + "/weir_peers_" + std::to_string(getpid()) + "_" + name;
    files_.push_back(path);
    FILE* out = fopen(path.c_str(), "w");
    fwrite(contents.data(), 1, contents.size(), out);
    fclose(out);
    return path;
  }
  void start_server(const std::string& protocol = "http/1.1") {
    peer_ = std::make_unique<Openssl>(
        std::vector<std::string>{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-tls1_2", "-alpn", protocol,
                                 "-cert", file("c.pem", leaf.certificate), "-key", file("k.pem", leaf.private_key)});
    std::string port;
    ASSERT_TRUE(wait_for([&] {
      const size_t at = peer_->output().find("ACCEPT 127.0.0.1:");
      if (at == std::string::npos || peer_->output().find('\n', at) == std::string::npos) return false;
      port = peer_->output().substr(at + 17, peer_->output().find('\n', at) - at - 17);
      return true;
    })) << peer_->output();
    build();
    client = std::make_unique<Side>();
    client->connection = std::make_unique<net::Connection>(
        lane.lane(), *net::Address::from_ip("127.0.0.1", static_cast<uint16_t>(std::stoi(port))), net::BindOptions());
    client->connection->set_handler(*client);
    client->connection->set_transport(make_client_transport(client_context, lane, options));
    client->connection->start(false);
    ASSERT_TRUE(wait_for([&] { return client->connected; })) << client->failure();
  }
  ~PeersTest() override {
    for (const std::string& path : files_) unlink(path.c_str());
  }
  std::unique_ptr<Openssl> peer_;
  std::vector<std::string> files_;
};

TEST_F(PeersTest, AServerThatRenegotiatesIsRefused) {
  start_server();
  peer_->type("before\n");
  ASSERT_TRUE(wait_for([&] { return client->received == "before\n"; }));
  peer_->type("r\n");
  ASSERT_TRUE(wait_for([&] { return client->closed; }));
  EXPECT_EQ(client->failure(), "TLS_error:|268435638:SSL routines:OPENSSL_internal:NO_RENEGOTIATION:TLS_error_end");
}

TEST_F(PeersTest, UnlessThatIsAllowed) {
  client_spec.allow_renegotiation = true;
  client_spec.alpn_protocols = {"h2", "http/1.1"};
  start_server();
  peer_->type("before\n");
  ASSERT_TRUE(wait_for([&] { return client->received == "before\n"; }));
  peer_->type("r\n");
  // What is written meanwhile waits, and arrives.
  ASSERT_TRUE(wait_for([&] { return peer_->output().find("SSL_do_handshake -> 1") != std::string::npos; }))
      << peer_->output();
  client->write("during\n");
  ASSERT_TRUE(wait_for([&] { return peer_->output().find("during") != std::string::npos; })) << peer_->output();
  peer_->type("after\n");
  ASSERT_TRUE(wait_for([&] { return client->received == "before\nafter\n"; })) << client->received;
  EXPECT_FALSE(client->closed);
}

// RFC 9113 9.2.1.
TEST_F(PeersTest, WhatIsAllowedIsNotForHttp2) {
  client_spec.allow_renegotiation = true;
  client_spec.alpn_protocols = {"h2", "http/1.1"};
  start_server("h2");
  peer_->type("before\n");
  ASSERT_TRUE(wait_for([&] { return client->received == "before\n"; }));
  peer_->type("r\n");
  ASSERT_TRUE(wait_for([&] { return client->closed; }));
  EXPECT_EQ(client->failure(), "TLS_error:|268435638:SSL routines:OPENSSL_internal:NO_RENEGOTIATION:TLS_error_end");
}

// Nor for what was not agreed on, and is spoken all the same.
TEST_F(PeersTest, OrForbiddenByWhoSpeaks) {
  client_spec.allow_renegotiation = true;
  start_server();
  client->connection->transport()->forbid_renegotiation();
  peer_->type("before\n");
  ASSERT_TRUE(wait_for([&] { return client->received == "before\n"; }));
  peer_->type("r\n");
  ASSERT_TRUE(wait_for([&] { return client->closed; }));
  EXPECT_EQ(client->failure(), "TLS_error:|268435638:SSL routines:OPENSSL_internal:NO_RENEGOTIATION:TLS_error_end");
}

TEST_F(PeersTest, AClientThatRenegotiatesIsRefused) {
  build();
  const int listener = *net::open_listen_socket(*net::Address::from_ip("127.0.0.1", 0), {});
  peer_ = std::make_unique<Openssl>(
      std::vector<std::string>{"s_client", "-connect", net::bound_address(listener).to_string(), "-tls1_2"});
  int fd = -1;
  ASSERT_TRUE(wait_for([&] { return (fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0; }));
  close(listener);
  server = std::make_unique<Side>();
  server->open(lane, fd, make_server_transport(server_context, lane), "@client");
  ASSERT_TRUE(wait_for([&] { return server->connected; })) << server->failure();
  peer_->type("before\n");
  ASSERT_TRUE(wait_for([&] { return server->received == "before\n"; }));
  peer_->type("R\n");
  ASSERT_TRUE(wait_for([&] { return server->closed; })) << peer_->output();
  EXPECT_EQ(server->failure(), "TLS_error:|268435638:SSL routines:OPENSSL_internal:NO_RENEGOTIATION:TLS_error_end");
}

// One context, several lanes, keys that turn meanwhile. (For TSan.)
TEST_F(TlsTest, LanesShareContexts) {
  client_spec.verifier = verifier_of({.trusted_ca = {root.certificate, "ca.pem"}});
  build();
  std::atomic<int> working = 3;
  std::atomic<int> met_count = 0;
  std::atomic<int> steps = 0;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      {
        test::TestLane own(i + 2);
        for (int round = 0; round < 20; ++round) {
          int fds[2];
          if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) break;
          Side here, there;
          here.open(own, fds[0], make_server_transport(server_context, own), "@client");
          there.open(own, fds[1], make_client_transport(client_context, own, {}), "@server");
          there.write("request");
          own.turns(8);
          here.write("response");
          own.turns(2);
          if (here.received == "request" && there.received == "response") ++met_count;
          here.connection->close();
          there.connection->close();
          own.turns(2);
          ++steps;
          steps.notify_one();
        }
      }
      --working;
      ++steps;
      steps.notify_one();
    });
  }
  // Looked at before `working` is: a step that comes in between ends the wait.
  for (int seen = steps; working > 0; seen = steps) {
    ring->rotate();
    steps.wait(seen);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(met_count, 60);
  EXPECT_EQ(server_spec.stats->handshake.value(), 60u);
}

}  // namespace
}  // namespace weir::tls
