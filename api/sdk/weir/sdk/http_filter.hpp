// An HTTP filter in one class. DRAFT.
//
//   struct Config { static weir::sdk::Result<Config> parse(std::string_view text); ... };   // or parse(text, scope)
//   class ApiKey : public weir::sdk::HttpFilter<ApiKey, Config> {
//    public:
//     using HttpFilter::HttpFilter;
//     weir::sdk::Action on_request_headers(weir::sdk::Request& request) { ... }
//   };
//   WEIR_PLUGIN_EXPORT("com.example.api_key/1", ApiKey)
//
// A class declares the hooks it wants; the others cost nothing. One object per stream, in the stream's memory. What a
// hook throws is logged once, counted (dynamic.exceptions) and ends the stream with 500.
#pragma once

#include <atomic>
#include <new>
#include <type_traits>

#include "weir/sdk/plugin.hpp"
#include "weir/sdk/stream.hpp"

namespace weir {
namespace sdk __attribute__((visibility("hidden"))) {

namespace internal {

// A plugin's Config and what the SDK keeps beside it.
template <class Config>
struct HttpConfig {
  Config config;
  Counter exceptions;
  std::atomic<bool> logged{false};
  HttpConfig(Config&& c, Counter e) : config(std::move(c)), exceptions(e) {}
};

template <class Derived>
struct HttpThunks;

}  // namespace internal

template <class Derived, class ConfigType>
class HttpFilter {
 public:
  using Config = ConfigType;
  explicit HttpFilter(weir_stream handle, const Config& config) : stream_(handle), config_(config) {}
  HttpFilter(const HttpFilter&) = delete;
  HttpFilter& operator=(const HttpFilter&) = delete;

  const Config& config() const { return config_; }
  // [worker] Until the object is destroyed.
  Stream& stream() { return stream_; }

  // [worker] Declare those you want, with these signatures.
  Action on_request_headers(Request&) { return Action::kContinue; }
  Action on_request_data(Body&) { return Action::kContinue; }
  Action on_request_trailers(Trailers&) { return Action::kContinue; }
  Action on_response_headers(Response&) { return Action::kContinue; }
  Action on_response_data(Body&) { return Action::kContinue; }
  Action on_response_trailers(Trailers&) { return Action::kContinue; }
  void on_timer(uint32_t /*timer*/) {}
  void on_posted(uint64_t /*token*/) {}
  void on_complete() {}

 private:
  Stream stream_;
  const Config& config_;
};

namespace internal {

template <class Derived>
struct HttpThunks {
  using Config = typename Derived::Config;
  using Base = HttpFilter<Derived, Config>;
  using Shared = HttpConfig<Config>;
  // What the host knows as the instance.
  struct Instance {
    Shared& shared;
    Derived filter;
    Instance(weir_stream stream, Shared& s) : shared(s), filter(stream, s.config) {}
  };
  static_assert(alignof(Instance) <= 64, "a filter may not ask for more alignment than a cache line");

  static int32_t config_create(weir_scope handle, weir_bytes name, weir_bytes text, void** out) noexcept {
    WEIR_SDK_TRY {
      ConfigScope scope(handle, view(name));
      Result<Config> made = parse<Config>(view(text), scope);
      if (!made) return refuse(handle, made.error());
      *out = new Shared(std::move(*made), scope.counter("exceptions"));
      return WEIR_OK;
    }
    WEIR_SDK_CATCH_ALL(return refuse(handle, Error{"an exception was thrown while the configuration was read"});)
  }
  static void config_destroy(void* config) noexcept { delete static_cast<Shared*>(config); }

  static int32_t create(void* config, weir_stream stream, void** out) noexcept {
    void* memory = Stream(stream).allocate(sizeof(Instance), alignof(Instance));
    if (memory == nullptr) return WEIR_FAILED;
    WEIR_SDK_TRY {
      *out = new (memory) Instance(stream, *static_cast<Shared*>(config));
      return WEIR_OK;
    }
    WEIR_SDK_CATCH_ALL(return WEIR_FAILED;)
  }
  static void destroy(void* instance) noexcept { static_cast<Instance*>(instance)->~Instance(); }

  // Calls the filter. What it throws ends here.
  template <class Call>
  static int32_t guarded(void* instance, [[maybe_unused]] weir_stream stream, Call&& call) noexcept {
    WEIR_SDK_TRY { return static_cast<int32_t>(call(static_cast<Instance*>(instance)->filter)); }
    WEIR_SDK_CATCH_ALL(return thrown(static_cast<Instance*>(instance)->shared, stream);)
  }
  static int32_t thrown(Shared& shared, weir_stream handle) noexcept {
    Stream stream(handle);
    stream.count(shared.exceptions);
    if (!shared.logged.exchange(true)) log(LogLevel::kError, "a hook threw an exception; further ones are only counted");
    weir_reply reply{sizeof(weir_reply), 500, bytes("plugin failure\n"), bytes("plugin_exception"), nullptr, 0, 0};
    api().reply(handle, &reply);
    return WEIR_DONE;
  }

  static int32_t on_request_headers(void* i, weir_stream s, uint32_t end) noexcept {
    return guarded(i, s, [&](Derived& filter) { Request request(s, end != 0); return filter.on_request_headers(request); });
  }
  static int32_t on_request_data(void* i, weir_stream s, uint32_t end) noexcept {
    return guarded(i, s, [&](Derived& filter) { Body body(s, end != 0); return filter.on_request_data(body); });
  }
  static int32_t on_request_trailers(void* i, weir_stream s) noexcept {
    return guarded(i, s, [&](Derived& filter) { Trailers trailers(s, WEIR_REQUEST_TRAILERS); return filter.on_request_trailers(trailers); });
  }
  static int32_t on_response_headers(void* i, weir_stream s, uint32_t end) noexcept {
    return guarded(i, s, [&](Derived& filter) { Response response(s, end != 0); return filter.on_response_headers(response); });
  }
  static int32_t on_response_data(void* i, weir_stream s, uint32_t end) noexcept {
    return guarded(i, s, [&](Derived& filter) { Body body(s, end != 0); return filter.on_response_data(body); });
  }
  static int32_t on_response_trailers(void* i, weir_stream s) noexcept {
    return guarded(i, s, [&](Derived& filter) { Trailers trailers(s, WEIR_RESPONSE_TRAILERS); return filter.on_response_trailers(trailers); });
  }
  static void on_timer(void* i, weir_stream s, uint32_t timer) noexcept {
    guarded(i, s, [&](Derived& filter) { filter.on_timer(timer); return WEIR_OK; });
  }
  static void on_posted(void* i, weir_stream s, uint64_t token) noexcept {
    guarded(i, s, [&](Derived& filter) { filter.on_posted(token); return WEIR_OK; });
  }
  static void on_complete(void* i, weir_stream s) noexcept {
    guarded(i, s, [&](Derived& filter) { filter.on_complete(); return WEIR_OK; });
  }

// The thunk, if the class declares the hook itself: the type of `&Class::hook` names the class that declares it.
#define WEIR_SDK_HOOK(hook) (std::is_same_v<decltype(&Derived::hook), decltype(&Base::hook)> ? nullptr : &HttpThunks::hook)
  static constexpr weir_http_filter make_table() {
    return {sizeof(weir_http_filter), 0, &config_create, &config_destroy, &create, &destroy,
            WEIR_SDK_HOOK(on_request_headers), WEIR_SDK_HOOK(on_request_data), WEIR_SDK_HOOK(on_request_trailers),
            WEIR_SDK_HOOK(on_response_headers), WEIR_SDK_HOOK(on_response_data), WEIR_SDK_HOOK(on_response_trailers),
            WEIR_SDK_HOOK(on_timer), WEIR_SDK_HOOK(on_posted), WEIR_SDK_HOOK(on_complete)};
  }
#undef WEIR_SDK_HOOK
  static constexpr weir_http_filter kTable = make_table();
};

template <class T>
concept IsHttpFilter = requires(T* t) { []<class C>(HttpFilter<T, C>*) {}(t); };

template <IsHttpFilter T>
struct TableOf<T> {
  static constexpr const weir_http_filter* http_filter = &HttpThunks<T>::kTable;
  static constexpr const weir_load_balancer* load_balancer = nullptr;
};

}  // namespace internal
}  // namespace sdk
}  // namespace weir
