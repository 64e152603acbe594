// A finished request to log, a directory that goes away, and lanes with threads.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/arena.h"
#include "core/http/header_map.h"
#include "core/stream/stream_info.h"

namespace weir::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/weir-log-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct FinishedRequest {
  FinishedRequest() {
    request.add(http::HeaderId::kMethod, "GET");
    request.add(http::HeaderId::kPath, "/cart");
    request.add(http::HeaderId::kAuthority, "shop.example");
    request.add(http::HeaderId::kUserAgent, "test/1");
    info.start_wall = WallTime(Duration(1'700'000'000'000'000'000));
    info.start = MonoTime(1s);
    info.end = MonoTime(1s + 12ms);
    info.protocol = stream::Protocol::kHttp11;
    info.response_code = 200;
    info.bytes_sent = 42;
  }
  stream::LogSubject subject() const { return {.info = info, .request = &request, .response = &response}; }

  ArenaPool pool;
  Arena arena{pool};
  http::HeaderMap request{arena};
  http::HeaderMap response{arena};
  stream::StreamInfo info;
};

}  // namespace weir::test
