// Fields of a protobuf message, as they are on the wire. For the one format of statistics that is made of them: what
// lies this low knows no messages. Private to this folder.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::stats {

class ProtoWriter {
 public:
  explicit ProtoWriter(std::string& out) : out_(out) {}

  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  // "zigzag": small for small numbers of either sign.
  void zigzag(int64_t value) { varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63)); }
  void number(uint32_t field, uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void signed_number(uint32_t field, int64_t value) {
    varint(field << 3);
    zigzag(value);
  }
  void real(uint32_t field, double value) {
    varint(field << 3 | 1);
    for (auto bits = std::bit_cast<uint64_t>(value), i = uint64_t{0}; i < 8; ++i, bits >>= 8)
      out_ += static_cast<char>(bits);
  }
  // A text, or a message.
  void bytes(uint32_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    out_ += value;
  }

 private:
  std::string& out_;
};

}  // namespace weir::stats
