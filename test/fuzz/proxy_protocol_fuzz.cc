// Headers of the PROXY protocol: whatever pieces they come in the answer is the same, nothing is read beyond the
// header, and what was accepted says what a second reading says.
#include <cstdint>
#include <string>

#include "core/stream/proxy_header.h"
#include "filters/listener/http_inspector/http_inspector.h"
#include "filters/listener/proxy_protocol/header.h"
#include "test/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::filters::proxy_protocol;
  if (size < 1) return 0;
  const Wanted wanted{(data[0] & 1) == 0, (data[0] & 2) == 0};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto require = [&](bool condition) { fuzz::require(condition, "the header is not read as one", bytes); };

  Header header;
  const Parsed parsed = parse_header(bytes, wanted, header);
  if (parsed == Parsed::kHeader) {
    require(header.size <= bytes.size() && header.size <= kMaxSizeV2);
    require(header.version != Version::kV1 || header.size <= kMaxSizeV1);
    require(header.local || (header.source.is_ip() && header.destination.is_ip()));
    size_t in_tlvs = 0;
    std::string_view left = header.tlvs;
    for (stream::Tlv tlv; stream::next_tlv(left, tlv);) in_tlvs += 3 + tlv.value.size();
    require(in_tlvs == header.tlvs.size());
    Header again;
    require(parse_header(bytes.substr(0, header.size), wanted, again) == Parsed::kHeader);
    require(again.size == header.size && again.source == header.source && again.tlvs.size() == header.tlvs.size());
  }
  if (parsed == Parsed::kNotYet) require(header.needed > bytes.size() && header.needed <= kMaxSizeV2);
  // Grows byte by byte, up to where enough is known.
  const size_t end = std::min<size_t>(bytes.size(), 300);
  Parsed last = Parsed::kNotYet;
  for (size_t part = 0; part <= end && last == Parsed::kNotYet; ++part) {
    Header grown;
    last = parse_header(bytes.substr(0, part), wanted, grown);
    if (last == Parsed::kNotYet) require(grown.needed > part);
    if (last == Parsed::kHeader) require(grown.size == part);
  }
  if (last != Parsed::kNotYet) require(last == parsed);

  using filters::http_inspector::detect;
  using filters::http_inspector::Spoken;
  const Spoken whole = detect(bytes);
  for (size_t part = 0; part <= end; ++part) {
    const Spoken early = detect(bytes.substr(0, part));
    if (early != Spoken::kNotYetKnown) {
      require(early == whole);
      break;
    }
    require(detect(bytes, part) == whole);  // so much had no line end
  }
  return 0;
}
