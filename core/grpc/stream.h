// A gRPC call with any number of messages both ways, over HTTP/2 to a host of a cluster, whose balancing, TLS, limits
// and statistics apply as to any request. Messages are bytes: who calls knows how they are made. call.h is for the
// usual one of one message each way.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/grpc/framing.h"
#include "core/grpc/service.h"
#include "core/grpc/status.h"
#include "core/proxy/headless_stream.h"

namespace weir::grpc {

// Part of whoever makes it; its destructor cancels. On any lane that has clusters. [worker]
class Stream : private proxy::HeadlessStream::Reader {
 public:
  Stream() = default;
  virtual ~Stream() { cancel(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  struct Options {
    // Whose facts the service's initial metadata may print; null: they print nothing.
    const stream::LogSubject* subject = nullptr;
    Duration timeout{};                   // zero: the service's
    uint32_t buffer_limit = 1024 * 1024;  // bytes of messages that may wait to be sent
    bool one_response = false;            // a second message is a fault
  };
  // `method`: "/package.Service/Method". `service` outlives the call. Anything but OK: it is over, and nothing will be
  // told. `only`: the only message, which is complete then.
  [[nodiscard]] Status start(event::Lane& lane, const Service& service, std::string_view method, const Options& options,
                             Slices* only = nullptr);
  // Empties the message. More than may wait ends the call, which may be told within. Does nothing when it is over.
  void send(Slices& message);
  // There are no more messages from here.
  void close();
  // Stops and continues reading. Messages that have come already are still told.
  void pause(bool paused);
  // Nobody wants it any more; nothing is told.
  void cancel();
  bool active() const { return stream_ != nullptr; }

 protected:
  // None of these is called within start(), and nothing after cancel(). Only on_end() may destroy this.
  virtual void on_metadata(const http::HeaderMap& /*headers*/) {}
  virtual void on_message(Slices& message) = 0;
  // As much waits to be sent as should, or that is over.
  virtual void on_flow(bool /*blocked*/) {}
  // Once, last; it is not active any more. `trailers`, with the server's metadata: null if none have come.
  virtual void on_end(const Status& status, const http::HeaderMap* trailers) = 0;

 private:
  // HeadlessStream::Reader
  void on_headers(proxy::HeadlessStream& stream, const http::HeaderMap& headers, bool end) override;
  void on_data(proxy::HeadlessStream& stream, Slices& data, bool end) override;
  void on_trailers(proxy::HeadlessStream& stream, const http::HeaderMap& trailers) override;
  void on_failed(proxy::HeadlessFailure failure, std::string_view detail) override;
  void on_request_flow(bool blocked) override { on_flow(blocked); }
  void write_head(const Service& service, std::string_view method, const Options& options, Duration timeout);
  void give_up(Code code, Status::Origin origin, std::string_view message);
  void finish(const Status& status, const http::HeaderMap* trailers);

  proxy::HeadlessStream* stream_ = nullptr;
  Deframer in_;
  bool one_response_ = false;
  bool responded_ = false;
};

}  // namespace weir::grpc
