// Frames of gRPC: whatever pieces the bytes come in, what is read is what one look at all of them says, nothing is
// lost, and every payload is a view of the bytes.
#include <cstdint>
#include <string>

#include "core/grpc/frames.h"
#include "test/fuzz/input.h"

namespace {

using weir::grpc::FrameEvent;
using weir::grpc::FrameHead;
using weir::grpc::FrameReader;

// Heads and ends as text, with the payloads between them.
std::string plainly(std::string_view bytes, size_t& begun, bool& between) {
  std::string text;
  begun = 0;
  between = true;
  while (bytes.size() >= weir::grpc::kFrameHeadBytes) {
    const FrameHead head = weir::grpc::read_frame_head(bytes.data());
    char again[weir::grpc::kFrameHeadBytes];
    weir::grpc::write_frame_head(head, again);
    weir::fuzz::require(bytes.starts_with(std::string_view(again, sizeof(again))), "a head is not written as it was");
    ++begun;
    bytes.remove_prefix(sizeof(again));
    text += "[" + std::to_string(head.flags) + " " + std::to_string(head.length) + " ";
    const std::string_view payload = bytes.substr(0, head.length);
    bytes.remove_prefix(payload.size());
    text += payload;
    between = payload.size() == head.length;
    if (!between) return text;
    text += "]";
  }
  between = bytes.empty();
  return text;
}

}  // namespace

// The first byte is the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = data[0] + 1u;
  FrameReader reader, counter;
  std::string text;
  size_t count = 0;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    std::string_view rest = bytes.substr(at, piece);
    const std::string_view now = rest;
    count += counter.count(now);
    for (FrameEvent event = reader.next(rest); event.kind != FrameEvent::Kind::kMore; event = reader.next(rest)) {
      switch (event.kind) {
        case FrameEvent::Kind::kHead:
          text += "[" + std::to_string(event.head.flags) + " " + std::to_string(event.head.length) + " ";
          break;
        case FrameEvent::Kind::kPayload:
          weir::fuzz::require(event.payload.data() >= now.data() && !event.payload.empty() &&
                                  event.payload.data() + event.payload.size() <= now.data() + now.size(),
                              "a payload that is none of the bytes");
          text += event.payload;
          break;
        case FrameEvent::Kind::kEnd:
          text += "]";
          break;
        case FrameEvent::Kind::kMore:
          break;
      }
    }
    weir::fuzz::require(rest.empty(), "bytes were left");
  }
  size_t begun = 0;
  bool between = false;
  const std::string expected = plainly(bytes, begun, between);
  weir::fuzz::require(text == expected, "pieces say something else", text, expected);
  weir::fuzz::require(count == begun, "frames are counted differently", expected);
  weir::fuzz::require(reader.between_frames() == between && counter.between_frames() == between,
                      "whether a frame is incomplete", expected);
  return 0;
}
