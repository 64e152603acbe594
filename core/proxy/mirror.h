// A copy of a request that goes to another cluster, whose answer nobody waits for (request_mirror_policies). It lives
// as long as that exchange takes, usually longer than the stream it copies, whose speed it never changes: what it
// cannot take in time is dropped, and the copy with it. No filter of the cluster sees it.
#pragma once

#include <cstdint>

#include "core/proxy/headless_stream.h"
#include "core/route/mirror.h"

namespace weir::proxy {

// [worker] `subject`: the request, with headers as they go to its own upstream. `timeout` counts from the end of the
// request; zero: none. `buffer_limit`: bytes of the body that it may keep. nullptr: its cluster is not there, has no
// host or is full. The rest of the request is sent to it, and then it is left (HeadlessStream::leave()).
HeadlessStream* start_mirror(event::Lane& lane, const route::Mirror& policy, const stream::LogSubject& subject,
                             bool end, Duration timeout, uint32_t buffer_limit);

}  // namespace weir::proxy
