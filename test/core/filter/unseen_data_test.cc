// Which chains let data pass that nobody can look at.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "test/support/descriptor.h"
#include "test/support/filter_harness.h"

namespace weir::test {
namespace {

using filter::Action;

struct NoConfig {};

class HeadersOnly final : public filter::HttpFilter {
 public:
  explicit HeadersOnly(const NoConfig&) {}
  Action on_request_headers(filter::Stream&, http::HeaderMap&, bool) override { return Action::kContinue; }
  Action on_response_headers(filter::Stream&, http::HeaderMap&, bool) override { return Action::kContinue; }
};
class RequestData final : public filter::HttpFilter {
 public:
  explicit RequestData(const NoConfig&) {}
  Action on_request_data(filter::Stream&, Slices&, bool) override { return Action::kContinue; }
};
class ResponseData final : public filter::HttpFilter {
 public:
  explicit ResponseData(const NoConfig&) {}
  Action on_response_data(filter::Stream&, Slices&, bool) override { return Action::kContinue; }
};

// Has all hooks and leaves the bodies alone once it has seen the headers.
struct Left {
  std::string* trailers;
  Duration pause{};
  bool whole = false;  // it has asked for whole bodies
};
class Leaves final : public filter::HttpFilter {
 public:
  explicit Leaves(const Left& left) : left_(left) {}
  static filter::BodyMode request_body(const Left& left) { return mode(left); }
  static filter::BodyMode response_body(const Left& left) { return mode(left); }
  Action on_request_headers(filter::Stream& stream, http::HeaderMap&, bool) override { return leave(stream, request_); }
  Action on_request_data(filter::Stream&, Slices&, bool) override { return unexpected(); }
  Action on_request_trailers(filter::Stream&, http::HeaderMap& trailers) override { return note(trailers); }
  Action on_response_headers(filter::Stream& stream, http::HeaderMap&, bool) override {
    return leave(stream, response_);
  }
  Action on_response_data(filter::Stream&, Slices&, bool) override { return unexpected(); }
  Action on_response_trailers(filter::Stream&, http::HeaderMap& trailers) override { return note(trailers); }

 private:
  struct Pause final : event::Timer {
    void on_timer() override { resume.resume(); }
    filter::Resume resume;
  };
  static filter::BodyMode mode(const Left& left) {
    return left.whole ? filter::BodyMode::buffer(4) : filter::BodyMode::stream();
  }
  Action leave(filter::Stream& stream, Pause& pause) {
    stream.leave_body_alone();
    if (left_.pause == Duration::zero()) return Action::kContinue;
    pause.resume = stream.resume_handle();
    stream.lane().arm_in(pause, left_.pause);
    return Action::kPause;
  }
  Action unexpected() {
    ADD_FAILURE() << "data of a body that was left alone";
    return Action::kContinue;
  }
  Action note(const http::HeaderMap& trailers) {
    *left_.trailers += trailers.get(http::HeaderName("x-end"));
    return Action::kContinue;
  }
  const Left& left_;
  Pause request_, response_;
};

filter::HttpFilterEntry leaves(Left left) {
  static const filter::HttpFilterDescriptor descriptor = describe_for_test<Left, Leaves>("weir.test.leaves");
  return {.descriptor = &descriptor, .config = std::make_shared<const Left>(left), .name = "leaves"};
}

template <class Filter>
filter::HttpFilterEntry entry(std::string name) {
  static const filter::HttpFilterDescriptor descriptor = describe_for_test<NoConfig, Filter>("weir.test.unseen");
  return {.descriptor = &descriptor, .config = std::make_shared<const NoConfig>(), .name = std::move(name)};
}

struct Unseen {
  bool request;
  bool response;
  bool operator==(const Unseen&) const = default;
};

// Whether data may be unseen once headers have passed.
Unseen unseen(std::vector<filter::HttpFilterEntry> filters, const FilterHarness::Options& options = {}) {
  FilterHarness harness(std::move(filters), options);
  harness.respond_early();
  harness.send_headers({{":method", "POST"}, {":path", "/"}});
  harness.respond_headers({{":status", "200"}});
  harness.run();
  harness.stream().leave_request_unseen();
  return {harness.request_left_unseen(), harness.stream().takes_unseen_response()};
}

TEST(UnseenData, PassesFiltersWithoutHooksForIt) {
  EXPECT_EQ(unseen({}), (Unseen{true, true}));
  EXPECT_EQ(unseen({entry<HeadersOnly>("a"), entry<HeadersOnly>("b")}), (Unseen{true, true}));
}

TEST(UnseenData, IsKeptFromThoseThatLook) {
  EXPECT_EQ(unseen({entry<HeadersOnly>("a"), entry<RequestData>("b")}), (Unseen{false, true}));
  EXPECT_EQ(unseen({entry<ResponseData>("a"), entry<HeadersOnly>("b")}), (Unseen{true, false}));
}

TEST(UnseenData, DoesNotCareForFiltersOfOtherStreams) {
  std::vector<filter::HttpFilterEntry> filters = {entry<RequestData>("a"), entry<ResponseData>("b")};
  EXPECT_EQ(unseen(filters, {.enabled = filter::filter_bit(1)}), (Unseen{true, false}));
  EXPECT_EQ(unseen(filters, {.enabled = filter::filter_bit(0)}), (Unseen{false, true}));
}

TEST(UnseenData, PassesFiltersThatLeaveTheBodyAlone) {
  std::string trailers;
  EXPECT_EQ(unseen({leaves({&trailers})}), (Unseen{true, true}));
  EXPECT_EQ(unseen({leaves({&trailers, {}, true})}), (Unseen{true, true}));
  EXPECT_EQ(unseen({entry<RequestData>("a"), leaves({&trailers}), entry<ResponseData>("b")}), (Unseen{false, false}));
}

// Whatever happens around them, and whether they pause or have asked for whole bodies (smaller ones than these).
TEST(UnseenData, FiltersThatLeaveTheBodyAloneSeeTheTrailersOnly) {
  for (Duration pause : {Duration(0ms), Duration(3ms)}) {
    for (bool whole : {false, true}) {
      std::string trailers;
      run_under_chaos({leaves({&trailers, pause, whole})}, [&](FilterHarness& harness) {
        trailers.clear();
        harness.send_headers({{":method", "POST"}, {":path", "/"}});
        harness.send_data("one ");
        harness.send_data("two");
        harness.send_trailers({{"x-end", "request "}});
        harness.run();
        harness.respond_headers({{":status", "200"}});
        harness.respond_data("three ");
        harness.respond_data("four");
        harness.respond_trailers({{"x-end", "response"}});
        harness.run();
        EXPECT_EQ(harness.request().body, "one two");
        EXPECT_EQ(harness.response().body, "three four");
        EXPECT_EQ(trailers, "request response");
        EXPECT_EQ(harness.violations(), std::vector<std::string>());
      });
    }
  }
}

// A filter without a hook for data may hold it all the same, and what is held in a pipe lets no more come.
TEST(UnseenData, IsNotHeld) {
  filter::Resume resume;
  class Pauses final : public filter::HttpFilter {
   public:
    explicit Pauses(const filter::Resume* const& to) : resume_(const_cast<filter::Resume&>(*to)) {}
    Action on_response_headers(filter::Stream& stream, http::HeaderMap&, bool) override {
      resume_ = stream.resume_handle();
      return Action::kPause;
    }

   private:
    filter::Resume& resume_;
  };
  static const filter::HttpFilterDescriptor descriptor =
      describe_for_test<const filter::Resume*, Pauses>("weir.test.unseen");
  FilterHarness harness({{.descriptor = &descriptor,
                          .config = std::make_shared<const filter::Resume* const>(&resume),
                          .name = "pauses"}});
  harness.send_headers({{":method", "GET"}, {":path", "/"}}, true);
  harness.respond_headers({{":status", "200"}});
  harness.run();
  EXPECT_FALSE(harness.stream().takes_unseen_response());
  resume.resume();
  EXPECT_TRUE(harness.stream().takes_unseen_response());
  harness.respond_data("x", true);
  harness.run();
}

}  // namespace
}  // namespace weir::test
