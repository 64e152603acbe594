#include "core/grpc/frames.h"

#include <algorithm>

namespace weir::grpc {

FrameHead read_frame_head(const char* from) {
  uint8_t bytes[kFrameHeadBytes];
  std::memcpy(bytes, from, kFrameHeadBytes);
  FrameHead head;
  head.flags = bytes[0];
  for (size_t i = 1; i < kFrameHeadBytes; ++i) head.length = head.length << 8 | bytes[i];
  return head;
}

void write_frame_head(const FrameHead& head, char* to) {
  to[0] = static_cast<char>(head.flags);
  for (size_t i = 1; i < kFrameHeadBytes; ++i)
    to[i] = static_cast<char>(head.length >> 8 * (kFrameHeadBytes - 1 - i) & 0xff);
}

bool FrameReader::take_head(std::string_view& bytes) {
  if (have_ == 0 && bytes.size() >= kFrameHeadBytes) {  // almost always
    head_ = read_frame_head(bytes.data());
    bytes.remove_prefix(kFrameHeadBytes);
  } else {
    const size_t part = std::min(bytes.size(), kFrameHeadBytes - have_);
    if (part > 0) std::memcpy(partial_ + have_, bytes.data(), part);
    bytes.remove_prefix(part);
    have_ = static_cast<uint8_t>(have_ + part);
    if (have_ < kFrameHeadBytes) return false;
    head_ = read_frame_head(partial_);
    have_ = 0;
  }
  in_frame_ = true;
  left_ = head_.length;
  return true;
}

FrameEvent FrameReader::next(std::string_view& bytes) {
  using Kind = FrameEvent::Kind;
  if (!in_frame_) return take_head(bytes) ? FrameEvent{Kind::kHead, head_, {}} : FrameEvent{};
  if (left_ == 0) {
    in_frame_ = false;
    return {Kind::kEnd, head_, {}};
  }
  if (bytes.empty()) return {};
  const std::string_view piece = bytes.substr(0, left_);
  bytes.remove_prefix(piece.size());
  left_ -= static_cast<uint32_t>(piece.size());
  return {Kind::kPayload, head_, piece};
}

size_t FrameReader::count(std::string_view bytes) {
  size_t begun = 0;
  while (true) {
    if (in_frame_) {
      const size_t part = std::min<size_t>(bytes.size(), left_);
      bytes.remove_prefix(part);
      left_ -= static_cast<uint32_t>(part);
      if (left_ > 0) return begun;
      in_frame_ = false;
    }
    if (!take_head(bytes)) return begun;
    ++begun;
  }
}

}  // namespace weir::grpc
