#include "core/grpc/framing.h"

#include "core/grpc/frames.h"

namespace weir::grpc {
namespace {

// Of the first bytes of the queue, which has as many.
FrameHead peek_head(const Slices& in) {
  char bytes[kFrameHeadBytes];
  size_t got = 0;
  for (size_t i = 0; got < kFrameHeadBytes; ++i) {
    const std::string_view part = in.at(i).view().substr(0, kFrameHeadBytes - got);
    for (const char c : part) bytes[got++] = c;
  }
  return read_frame_head(bytes);
}

}  // namespace

void frame(Slices& message, Slices& out, BlockPool& pool) {
  char head[kFrameHeadBytes];
  write_frame_head({0, static_cast<uint32_t>(message.size())}, head);
  out.append_copy({head, kFrameHeadBytes}, pool);
  out.append_all(message);
}

Deframer::Next Deframer::next(Slices& message) {
  if (in_.size() < kFrameHeadBytes) return Next::kMore;
  const FrameHead head = peek_head(in_);
  if (head.flags == kCompressed) return Next::kCompressed;
  if (head.flags != 0) return Next::kBadFlag;
  if (head.length > limit_) return Next::kTooLarge;
  if (in_.size() - kFrameHeadBytes < head.length) return Next::kMore;
  in_.drop_front(kFrameHeadBytes);
  in_.move_front(head.length, message);
  return Next::kMessage;
}

}  // namespace weir::grpc
