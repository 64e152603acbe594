#include "core/stream/added_tlv.h"

namespace weir::stream {

void AddedTlv::append_to(std::string& tlvs, const LogSubject& subject, Arena& arena) const {
  const std::string_view whole = format ? print(*format, subject, arena) : std::string_view(value);
  const std::string_view text = whole.substr(0, UINT16_MAX);
  tlvs += static_cast<char>(type);
  tlvs += static_cast<char>(text.size() >> 8);
  tlvs += static_cast<char>(text.size());
  tlvs += text;
}

}  // namespace weir::stream
