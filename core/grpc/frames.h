// The frames that bodies of gRPC consist of (gRPC over HTTP/2, "Length-Prefixed-Message"): one byte of flags, the
// length in four, most significant first, and as many bytes of payload. gRPC-web has the same, and one more frame for
// the trailers. Depends on nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::grpc {

inline constexpr size_t kFrameHeadBytes = 5;

// Flags.
inline constexpr uint8_t kCompressed = 0x01;
inline constexpr uint8_t kTrailers = 0x80;  // of gRPC-web: the payload is trailers as HTTP/1 writes them

struct FrameHead {
  uint8_t flags = 0;
  uint32_t length = 0;  // of the payload
  bool operator==(const FrameHead&) const = default;
};

// `from`, `to`: kFrameHeadBytes bytes.
FrameHead read_frame_head(const char* from);
void write_frame_head(const FrameHead& head, char* to);

// What comes next in the bytes.
struct FrameEvent {
  enum class Kind : uint8_t {
    kMore,     // nothing: all bytes are taken, and what they begin goes on in later ones
    kHead,     // a frame begins
    kPayload,  // a piece of its payload, never empty
    kEnd,      // the frame is complete; comes behind kHead at once where there is no payload
  };
  Kind kind = Kind::kMore;
  FrameHead head;            // of the frame, but with kMore
  std::string_view payload;  // with kPayload: a part of the bytes that were given
};

// Reads frames out of bytes that come in any pieces:
//
//   for (FrameEvent event = reader.next(bytes); event.kind != FrameEvent::Kind::kMore; event = reader.next(bytes)) ...
class FrameReader {
 public:
  // Takes what the event is about off the front of `bytes`.
  FrameEvent next(std::string_view& bytes);
  // The same for who only wants to know how many frames begin, a message each; takes all of `bytes`.
  size_t count(std::string_view bytes);
  // Between two frames, where a body may end.
  bool between_frames() const { return !in_frame_ && have_ == 0; }
  // Of the frame that has begun: bytes of payload that have not come.
  uint32_t left() const { return left_; }
  void reset() { *this = FrameReader(); }

 private:
  // Takes bytes of a head. True: it is complete.
  bool take_head(std::string_view& bytes);

  char partial_[kFrameHeadBytes] = {};  // of a head
  uint8_t have_ = 0;                    // bytes in there
  bool in_frame_ = false;
  FrameHead head_;
  uint32_t left_ = 0;
};

}  // namespace weir::grpc
