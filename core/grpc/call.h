// A gRPC call with one message each way, which does no harm when it is made twice: it is made again as the service's
// retry policy says, and once if its connection was an old one.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/event/timer.h"
#include "core/grpc/stream.h"

namespace weir::grpc {

// Part of whoever makes it; its destructor cancels. On any lane that has clusters. [worker]
class Call : private Stream, private event::Timer {
 public:
  Call() = default;
  ~Call() override = default;

  // As Stream::start(). Empties `request`. `subject` lives as long as the call; the service's timeout holds for all
  // attempts together.
  [[nodiscard]] Status start(event::Lane& lane, const Service& service, std::string_view method, Slices& request,
                             const stream::LogSubject* subject = nullptr);
  bool active() const { return waiting() || Stream::active(); }
  void cancel();

 protected:
  // Once, at a later turn than start(); it is not active any more, and may be destroyed within. `response`: of a status
  // that is OK; good until this returns.
  virtual void on_response(const Status& status, const Slices& response) = 0;

 private:
  bool waiting() const { return event::Timer::armed(); }
  Status attempt();
  // True: it will be made again.
  bool retries(const Status& status);
  void on_message(Slices& message) override;
  void on_end(const Status& status, const http::HeaderMap* trailers) override;
  void on_timer() override;
  void complete(const Status& status);

  event::Lane* lane_ = nullptr;
  const Service* service_ = nullptr;
  const stream::LogSubject* subject_ = nullptr;
  std::string_view method_;
  MonoTime deadline_ = MonoTime::max();
  proxy::CallAttempts attempts_;
  bool answered_ = false;
  Slices request_;  // for another attempt
  Slices response_;
};

}  // namespace weir::grpc
