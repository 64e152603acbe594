// What ends a stream or a connection of HTTP/2, as RFC 9113 numbers it and as logs call it.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http::h2 {

// RFC 9113 section 7. Peers may send others.
enum class ErrorCode : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kConnectError = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};
// "PROTOCOL_ERROR"; "unknown" for one that has no name.
std::string_view error_code_name(ErrorCode code);

// What was found wrong with the peer's bytes. The names are response code details: they are interface.
// name, text, code of the RST_STREAM or GOAWAY, reason (sections are of RFC 9113)
#define WEIR_H2_ERRORS(X)                                                                                            \
  X(BadPreface, bad_preface, ProtocolError, "3.4: the connection does not begin as one of HTTP/2")                   \
  X(InvalidField, invalid.header.field, ProtocolError, "8.2.1, 8.2.2, 8.3: a field that no message may have")        \
  X(InvalidMessage, violation.of.messaging.rule, ProtocolError, "8.1: a malformed message")                          \
  X(InvalidFrame, invalid_frame, ProtocolError, "4, 5, 6: a frame that is malformed or not allowed there")           \
  X(FrameSize, invalid_frame_size, FrameSizeError, "4.2: a frame of a size that its type cannot have")               \
  X(FlowControl, flow_control_violated, FlowControlError, "5.2: more bytes than the window had room for")            \
  X(Compression, invalid_header_block, CompressionError, "4.3: a header block that cannot be decoded")               \
  X(StreamIsClosed, stream_closed, StreamClosed, "5.1: a frame on a stream that has ended")                          \
  X(TooManyInformational, too_many_informational, Cancel, "9110 15.2: more 1xx heads than a peer can mean")          \
  X(TooManyHeaders, too_many_headers, EnhanceYourCalm, "a header block that goes on far beyond the limit")           \
  X(EmptyFrames, inbound_empty_frames_flood, EnhanceYourCalm, "frames in a row that bring nothing")                  \
  X(PriorityFrames, inbound_priority_frames_flood, EnhanceYourCalm, "more PRIORITY frames than streams explain")     \
  X(WindowUpdates, inbound_window_update_frames_flood, EnhanceYourCalm, "more WINDOW_UPDATE than data explains")     \
  X(Continuations, inbound_continuation_flood, EnhanceYourCalm, "a header block in too many pieces")                 \
  X(StrayData, inbound_stray_data_flood, EnhanceYourCalm, "data of streams that are no more, without an end")        \
  X(ControlFrames, outbound_control_flood, EnhanceYourCalm, "frames that want an answer, and no answer is read")     \
  X(Frames, outbound_frames_flood, EnhanceYourCalm, "more frames wait than the peer reads")                          \
  X(SettingsTimeout, settings_timeout, SettingsTimeout, "6.5.3: smaller windows that the peer does not acknowledge") \
  X(Resets, premature_resets_flood, EnhanceYourCalm, "requests that are taken back as fast as they are sent")        \
  X(Overload, overload, NoError, "the process has too much to do")                                                   \
  X(Unexpected, internal_error, InternalError, "the library has failed")

enum class Error : uint8_t {
  kNone,
#define WEIR_X(name, text, code, reason) k##name,
  WEIR_H2_ERRORS(WEIR_X)
#undef WEIR_X
      kCount
};
// "http2.too_many_headers"; empty for kNone.
std::string_view error_name(Error error);
ErrorCode error_code(Error error);

}  // namespace weir::http::h2
