#include "core/stream/proxy_header.h"

#include <charconv>

namespace weir::stream {

bool next_tlv(std::string_view& tlvs, Tlv& out) noexcept {
  if (tlvs.size() < 3) return false;
  const size_t length = static_cast<size_t>(static_cast<uint8_t>(tlvs[1])) << 8 | static_cast<uint8_t>(tlvs[2]);
  if (tlvs.size() - 3 < length) return false;
  out = {static_cast<uint8_t>(tlvs[0]), tlvs.substr(3, length)};
  tlvs.remove_prefix(3 + length);
  return true;
}

const FilterStateType kProxyHeaderType{
    .name = kProxyHeaderName,
    .append_field =
        [](const void* object, std::string_view field, std::string& out) {
          uint8_t type = 0;
          auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), type);
          if (error != std::errc() || end != field.data() + field.size()) return false;
          std::string_view left = static_cast<const ProxyHeader*>(object)->tlvs;
          for (Tlv tlv; next_tlv(left, tlv);) {
            if (tlv.type != type) continue;
            out += tlv.value;
            return true;
          }
          return false;
        },
    .destroy = [](void* object) { static_cast<ProxyHeader*>(object)->~ProxyHeader(); },
};

}  // namespace weir::stream
