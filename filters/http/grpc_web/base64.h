// Base64 (RFC 4648 section 4) of a body on its way, as application/grpc-web-text has it: pieces may be cut anywhere,
// and padding may end any group of four characters, behind which another text begins.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/http/content_coding.h"

namespace weir::filters::grpc_web {

class TextDecoder {
 public:
  // Writes what the text stands for; a group that is incomplete is kept. False: it is no such text, and what follows is
  // not to be decoded.
  bool decode(std::string_view text, http::CodedOutput& out);
  // Where a text may end.
  bool between_groups() const { return have_ == 0; }

 private:
  bool take(char c, http::CodedOutput& out);

  uint32_t bits_ = 0;    // of the characters of this group
  uint8_t have_ = 0;     // characters of this group, padding among them
  uint8_t padding_ = 0;  // how many of them
};

class TextEncoder {
 public:
  // Writes whole groups; one or two bytes may be kept.
  void encode(std::string_view bytes, http::CodedOutput& out);
  // Writes what was kept, with padding.
  void end(http::CodedOutput& out);

 private:
  unsigned char kept_[2] = {};
  uint8_t have_ = 0;
};

}  // namespace weir::filters::grpc_web
