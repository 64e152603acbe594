#include "core/proxy/local_reply.h"

#include <algorithm>
#include <utility>

#include "core/proxy/request_headers.h"

namespace weir::proxy {

using http::HeaderId;

void LocalReplyConfig::shape(filter::Stream& stream, http::HeaderMap& headers, Slices& body) const {
  Arena& arena = stream.arena();
  stream::StreamInfo& info = stream.info();
  const std::string_view original = body.empty() ? std::string_view("") : body.front().view();
  // What matches and prints it takes it for the response.
  info.response_code = static_cast<uint16_t>(headers.status_code());
  stream::LogSubject subject{info, &stream.request_headers(), &headers, nullptr, original};
  const auto mapper = std::find_if(mappers.begin(), mappers.end(), [&](const LocalReplyMapper& each) {
    return each.filter->passes(subject, stream.lane());
  });
  const LocalReplyFormat* format = this->format ? &*this->format : nullptr;
  std::string_view text = original;
  bool own_type = false;
  if (mapper != mappers.end()) {
    const std::string_view type = headers.get(HeaderId::kContentType);
    mapper->headers.apply(headers, subject, arena);
    own_type = headers.get(HeaderId::kContentType) != type;
    if (mapper->status != 0) {
      headers.set(HeaderId::kStatus, arena.number(mapper->status));
      info.response_code = mapper->status;
    }
    if (mapper->body) text = *mapper->body;
    if (mapper->format) format = &*mapper->format;
  }
  if (format != nullptr) {
    subject.local_reply_body = text;
    text = stream::print(format->format, subject, arena);
  }
  if (format == nullptr && text == original) return;
  body.clear();
  if (text.empty()) return;
  body.append(Slice::of_static(text));
  if (!own_type)
    headers.set(HeaderId::kContentType, format != nullptr ? std::string_view(format->content_type) : "text/plain");
}

}  // namespace weir::proxy
