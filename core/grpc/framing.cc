#include "core/grpc/framing.h"

#include <array>
#include <string_view>

namespace weir::grpc {
namespace {

// The first bytes of the queue, which has as many.
std::array<unsigned char, kPrefixBytes> peek_prefix(const Slices& in) {
  std::array<unsigned char, kPrefixBytes> prefix{};
  size_t got = 0;
  for (size_t i = 0; got < kPrefixBytes; ++i) {
    for (const char c : in.at(i).view()) {
      if (got == kPrefixBytes) break;
      prefix[got++] = static_cast<unsigned char>(c);
    }
  }
  return prefix;
}

}  // namespace

void frame(Slices& message, Slices& out, BlockPool& pool) {
  const size_t size = message.size();
  const char prefix[kPrefixBytes] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                     static_cast<char>(size >> 8), static_cast<char>(size)};
  out.append_copy({prefix, kPrefixBytes}, pool);
  out.append_all(message);
}

Deframer::Next Deframer::next(Slices& message) {
  if (in_.size() < kPrefixBytes) return Next::kMore;
  const auto prefix = peek_prefix(in_);
  if (prefix[0] == 1) return Next::kCompressed;
  if (prefix[0] != 0) return Next::kBadFlag;
  const uint32_t size =
      uint32_t{prefix[1]} << 24 | uint32_t{prefix[2]} << 16 | uint32_t{prefix[3]} << 8 | uint32_t{prefix[4]};
  if (size > limit_) return Next::kTooLarge;
  if (in_.size() - kPrefixBytes < size) return Next::kMore;
  in_.drop_front(kPrefixBytes);
  in_.move_front(size, message);
  return Next::kMessage;
}

}  // namespace weir::grpc
