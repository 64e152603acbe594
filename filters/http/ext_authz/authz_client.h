// Between the filter and whoever knows an authorization service's protocol: what is asked, and what is answered.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/arena.h"
#include "core/base/block.h"
#include "core/filter/route_configs.h"
#include "core/filter/stream.h"
#include "core/http/header_map.h"
#include "core/stream/value.h"
#include "filters/http/ext_authz/headers.h"

namespace weir::filters::ext_authz {

struct RouteSettings;

// What of a request is told, to whatever service: as the filter is configured. [immutable]
struct Told {
  NameList allowed_headers;  // empty: all to gRPC services, few to HTTP services
  NameList disallowed_headers;
  // To gRPC services alone. Namespaces that are told of:
  std::vector<std::string> metadata;
  std::vector<std::string> typed_metadata;
  std::vector<std::string> route_metadata;
  bool peer_certificate = false;
  bool tls_session = false;
  bool raw_headers = false;  // each header as it is, instead of a text for each name
};

// What the service is asked about: the stream's request. Good during AuthzClient::check().
struct CheckRequest {
  filter::Stream& stream;
  const Told& told;
  const Slices* body = nullptr;  // as much of it as is told; null: it is not told of
  bool partial = false;          // the request has more
  bool body_as_bytes = false;    // a body is told as what it is, rather than as text
  const filter::RouteConfigs<RouteSettings>* routes = nullptr;
};

// Headers (or what becomes of them), in order. In an arena, as are the texts.
class Fields {
 public:
  struct Field {
    std::string_view name;  // in small letters
    std::string_view value;
    http::HeaderId id;
    Field* next;
  };
  void add(Arena& arena, std::string_view name, http::HeaderId id, std::string_view value) {
    Field* field = arena.make<Field>(Field{name, value, id, nullptr});
    (last_ != nullptr ? last_->next : first_) = field;
    last_ = field;
  }
  bool empty() const { return first_ == nullptr; }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Field* field = first_; field != nullptr; field = field->next) visit(*field);
  }

 private:
  Field* first_ = nullptr;
  Field* last_ = nullptr;
};

// What becomes of the headers of one message. Several of one name take the place of what it has of it, all of them.
struct Changes {
  Fields set;
  Fields add;         // beside those of their name
  Fields if_absent;   // only if there is none of the name
  Fields if_present;  // as `set`, but only if there is one
  Fields remove;

  bool empty() const { return set.empty() && add.empty() && if_absent.empty() && if_present.empty() && remove.empty(); }
  void apply(http::HeaderMap& headers) const;
};

enum class Verdict : uint8_t { kAllowed, kDenied, kError };

// All that it views is in the stream's arena.
struct CheckAnswer {
  Verdict verdict = Verdict::kError;
  // Of a denial, for the client. Also of an error, if the service says what to answer.
  bool says_reply = false;  // of an error
  int status = 403;
  std::string_view body = {};
  Fields reply = {};
  // Of a request that is allowed.
  Changes request = {};
  Fields query_set = {};
  Fields query_remove = {};
  Changes response = {};  // of what the upstream says
  // Texts, or a struct, for the metadata of the filter.
  Fields metadata = {};
  const stream::Value* metadata_struct = nullptr;
};

// One question about one stream. Made in the stream's arena; its destructor cancels. [worker]
class AuthzClient {
 public:
  class Caller {
   public:
    // Once, at a later turn than check(). The answer is good until this returns, its texts as long as the stream.
    virtual void on_checked(const CheckAnswer& answer) = 0;

   protected:
    ~Caller() = default;
  };
  virtual ~AuthzClient() = default;
  // Once. False: the service cannot be asked, and nothing will be told.
  [[nodiscard]] virtual bool check(const CheckRequest& request, Caller& caller) = 0;
};

// [immutable] A service as it is configured.
class AuthzService {
 public:
  virtual ~AuthzService() = default;
  virtual AuthzClient* make_client(Arena& arena) const = 0;
};

}  // namespace weir::filters::ext_authz
