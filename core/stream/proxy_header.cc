#include "core/stream/proxy_header.h"

#include <charconv>

namespace weir::stream {

const FilterStateType kProxyHeaderType{
    .name = kProxyHeaderName,
    .append_field =
        [](const void* object, std::string_view field, std::string& out) {
          uint8_t type = 0;
          auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), type);
          if (error != std::errc() || end != field.data() + field.size()) return false;
          for (const ProxyHeader::Tlv& tlv : static_cast<const ProxyHeader*>(object)->tlvs) {
            if (tlv.type != type) continue;
            out += tlv.value;
            return true;
          }
          return false;
        },
    .destroy = [](void* object) { static_cast<ProxyHeader*>(object)->~ProxyHeader(); },
};

}  // namespace weir::stream
