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
