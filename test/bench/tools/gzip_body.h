// Reads a response body with content-encoding gzip, whole or in chunks (RFC 9112 7.1), and compares what it unpacks.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::bench {

class GzipBody {
 public:
  GzipBody() { inflateInit2(&zlib_, 16 + MAX_WBITS); }
  ~GzipBody() { inflateEnd(&zlib_); }
  GzipBody(const GzipBody&) = delete;
  GzipBody& operator=(const GzipBody&) = delete;

  // `left`: the content-length; ignored if `chunked`.
  void start(bool chunked, uint64_t left) {
    inflateReset(&zlib_);
    chunked_ = chunked;
    left_ = chunked ? 0 : left;
    state_ = chunked ? State::kSize : State::kData;
    line_.clear();
    unpacked_ = 0;
    ended_ = false;
  }

  // Takes from the front of `data`. False: the body is wrong.
  bool take(std::string_view& data, std::string_view expected) {
    while (!data.empty() && state_ != State::kDone) {
      if (state_ == State::kData) {
        const size_t size = static_cast<size_t>(std::min<uint64_t>(left_, data.size()));
        if (!unpack(data.substr(0, size), expected)) return false;
        data.remove_prefix(size);
        left_ -= size;
        if (left_ == 0) state_ = chunked_ ? State::kDataEnd : State::kDone;
        continue;
      }
      line_ += data.front();
      data.remove_prefix(1);
      if (line_.back() == '\n' && !end_line()) return false;
    }
    return state_ != State::kDone || (ended_ && unpacked_ == expected.size());
  }
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailers, kDone };

  bool end_line() {
    const std::string line = std::exchange(line_, {});
    if (state_ == State::kDataEnd) {
      state_ = State::kSize;
      return line == "\r\n";
    }
    if (state_ == State::kTrailers) {
      if (line == "\r\n") state_ = State::kDone;
      return true;
    }
    char* end = nullptr;
    left_ = std::strtoull(line.c_str(), &end, 16);
    state_ = left_ == 0 ? State::kTrailers : State::kData;
    return end != line.c_str();
  }

  bool unpack(std::string_view packed, std::string_view expected) {
    zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    zlib_.avail_in = static_cast<uInt>(packed.size());
    while (zlib_.avail_in > 0 && !ended_) {
      zlib_.next_out = reinterpret_cast<Bytef*>(room_.data());
      zlib_.avail_out = static_cast<uInt>(room_.size());
      const int result = inflate(&zlib_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END) return false;
      const size_t size = room_.size() - zlib_.avail_out;
      if (size > expected.size() - unpacked_) return false;
      if (std::memcmp(room_.data(), expected.data() + unpacked_, size) != 0) return false;
      unpacked_ += size;
      ended_ = result == Z_STREAM_END;
    }
    return zlib_.avail_in == 0;
  }

  z_stream zlib_{};
  State state_ = State::kDone;
  bool chunked_ = false;
  bool ended_ = false;
  uint64_t left_ = 0;
  size_t unpacked_ = 0;
  std::string line_;
  std::vector<char> room_ = std::vector<char>(128 << 10);
};

}  // namespace weir::bench
