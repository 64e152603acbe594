#include "core/net/socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <utility>

namespace weir::net {
namespace {

constexpr uid_t kNobody = 65534;

SocketOption number_option(int level, int name, int value, SocketOption::When when) {
  SocketOption option;
  option.level = level;
  option.name = name;
  option.value.assign(reinterpret_cast<const char*>(&value), sizeof value);
  option.when = when;
  return option;
}

// What a process of another user is told that takes the socket over: a child, which gives up its rights.
std::string adjusted_by_nobody(int fd, const Address& address, const ListenOptions& options) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    std::string said = "no user";
    if (setresuid(kNobody, kNobody, kNobody) == 0) {
      const auto kept = adjust_listen_socket(fd, address, options);
      said = kept.ok() ? "ok " + *kept : message_of(kept.status());
    }
    _exit(write(ends[1], said.data(), said.size()) > 0 ? 0 : 1);
  }
  close(ends[1]);
  char text[512];
  const ssize_t size = read(ends[0], text, sizeof text);
  close(ends[0]);
  waitpid(pid, nullptr, 0);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

TEST(SocketTest, WhatASocketHasIsNotSetAgain) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ListenOptions options{.reuse_port = false, .transparent = true};
  options.more = {number_option(SOL_SOCKET, SO_MARK, 7, SocketOption::When::kBound),
                  number_option(SOL_SOCKET, SO_PRIORITY, 7, SocketOption::When::kListening)};
  for (const char* ip : {"127.0.0.1", "::1"}) {
    const Address address = *Address::from_ip(ip, 0);
    const auto fd = open_listen_socket(address, options);
    ASSERT_TRUE(fd.ok()) << fd.status();
    EXPECT_EQ(adjusted_by_nobody(*fd, address, options), "ok ") << ip;
    ListenOptions other = options;
    other.more[0] = number_option(SOL_SOCKET, SO_MARK, 8, SocketOption::When::kBound);
    EXPECT_NE(adjusted_by_nobody(*fd, address, other).find("needs root or CAP_NET_ADMIN"), std::string::npos) << ip;
    close(*fd);
  }
}

TEST(SocketTest, ModeOfASocketFile) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string path = "/tmp/weir-socket-test-" + std::to_string(getpid());
  const Address address = *Address::from_unix(path);
  ListenOptions options{.unix_mode = 0660};
  const auto fd = open_listen_socket(address, options);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(adjusted_by_nobody(*fd, address, options), "ok ");
  options.unix_mode = 0666;
  EXPECT_EQ(adjusted_by_nobody(*fd, address, options),
            "cannot set the mode of " + path + ": it belongs to user 0, and only that user and root may");
  EXPECT_TRUE(adjust_listen_socket(*fd, address, options).ok());
  struct stat file;
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777u, 0666u);
  close(*fd);
  unlink(path.c_str());
}

// What has come in its place since, also by the number of the file that is gone, is somebody else's.
TEST(SocketTest, AFileIsRemovedOnce) {
  const std::string path = "/tmp/weir-socket-test-" + std::to_string(getpid());
  const Address address = *Address::from_unix(path);
  const auto is_there = [&] { return access(path.c_str(), F_OK) == 0; };
  const auto bind_it = [&] {
    const auto fd = open_listen_socket(address, {});
    ASSERT_TRUE(fd.ok()) << fd.status();
    close(*fd);
    // Files are dated by the kernel's coarse clock: until that has gone on.
    const auto tick = [] {
      timespec now;
      clock_gettime(CLOCK_REALTIME_COARSE, &now);
      return std::pair(now.tv_sec, now.tv_nsec);
    };
    for (const auto born = tick(); tick() == born;) std::this_thread::yield();
  };
  bind_it();
  SocketFile removed = SocketFile::of(address);
  removed.remove();
  EXPECT_FALSE(is_there());
  bind_it();
  removed.remove();
  EXPECT_TRUE(is_there());
  SocketFile replaced = SocketFile::of(address);
  EXPECT_EQ(unlink(path.c_str()), 0);
  bind_it();
  replaced.remove();
  EXPECT_TRUE(is_there());
  SocketFile::of(address).remove();
  EXPECT_FALSE(is_there());
}

}  // namespace
}  // namespace weir::net
