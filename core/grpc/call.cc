#include "core/grpc/call.h"

#include <utility>

#include "core/route/spec.h"

namespace weir::grpc {

using Origin = Status::Origin;

namespace {

uint32_t conditions_of(Code code) {
  switch (code) {
    case Code::kCancelled:
      return route::retry_on::kGrpcCancelled;
    case Code::kDeadlineExceeded:
      return route::retry_on::kGrpcDeadlineExceeded;
    case Code::kResourceExhausted:
      return route::retry_on::kGrpcResourceExhausted;
    case Code::kUnavailable:
      return route::retry_on::kGrpcUnavailable;
    case Code::kInternal:
      return route::retry_on::kGrpcInternal;
    default:
      return 0;
  }
}

// The conditions that this outcome meets.
uint32_t conditions_of(const Status& status) {
  using namespace route::retry_on;
  switch (status.origin) {
    case Origin::kServer:
      return conditions_of(status.code);
    case Origin::kHttp: {
      uint32_t conditions = conditions_of(status.code);
      if (status.http >= 500) conditions |= k5xx;
      if (status.http >= 502 && status.http <= 504) conditions |= kGatewayError;
      return conditions;
    }
    case Origin::kReset:
      return conditions_of(status.code) | k5xx | kReset;
    case Origin::kRefused:
      return conditions_of(status.code) | k5xx | kReset | kRefusedStream;
    case Origin::kNoConnection:
      return conditions_of(status.code) | k5xx | kGatewayError | kConnectFailure | kResetBeforeRequest;
    case Origin::kHere:
      return 0;
  }
  return 0;
}

}  // namespace

Status Call::start(event::Lane& lane, const Service& service, std::string_view method, Slices& request,
                   const stream::LogSubject* subject) {
  cancel();
  lane_ = &lane;
  service_ = &service;
  subject_ = subject;
  method_ = method;
  deadline_ = service.timeout > Duration::zero() ? lane.now() + service.timeout : MonoTime::max();
  request_.append_all(request);
  const Status status = attempt();
  return status.ok() || retries(status) ? Status{} : status;
}

void Call::cancel() {
  event::Timer::cancel();
  Stream::cancel();
  attempts_.end(false);
  request_.clear();
  response_.clear();
}

Status Call::attempt() {
  answered_ = false;
  response_.clear();
  Slices message;
  request_.copy_refs_to(message);
  Options options;
  options.subject = subject_;
  options.buffer_limit = UINT32_MAX;  // it is here anyway
  options.one_response = true;
  if (deadline_ != MonoTime::max()) options.timeout = deadline_ - lane_->now();
  return Stream::start(*lane_, *service_, method_, options, &message);
}

bool Call::retries(const Status& status) {
  const auto wait = attempts_.wait(service_->retries, *lane_, service_->cluster, conditions_of(status),
                                   deadline_ - lane_->now(), status.unseen);
  if (!wait) return false;
  lane_->arm_in(*this, *wait);
  return true;
}

void Call::on_timer() {
  if (deadline_ <= lane_->now()) {
    Status late;
    late.code = Code::kDeadlineExceeded;
    late.origin = Origin::kHere;
    late.message = "timeout";
    return complete(late);
  }
  const Status status = attempt();
  if (!status.ok() && !retries(status)) complete(status);
}

void Call::on_message(Slices& message) {
  answered_ = true;
  response_.append_all(message);
}

void Call::on_end(const Status& status, const http::HeaderMap*) {
  if (status.ok() && !answered_) {
    Status none;
    none.code = Code::kInternal;
    none.origin = Origin::kHere;
    none.message = "the server has answered without a message";
    return complete(none);
  }
  if (!status.ok() && retries(status)) return;
  complete(status);
}

void Call::complete(const Status& status) {
  attempts_.end(status.ok());
  request_.clear();
  const Slices response = std::move(response_);
  on_response(status, response);
}

}  // namespace weir::grpc
