// The decoders of every content coding with bytes of anybody: no fault, and never more output than the ratio allows.
#include <cstdint>
#include <memory>
#include <string>

#include "core/http/content_coding.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "test/fuzz/input.h"
#include "test/support/plugin_scope.h"

namespace {

std::shared_ptr<const weir::http::ContentCoding> coding(size_t which) {
  namespace pb = envoy::extensions::compression;
  static weir::test::PluginScope plugins;
  auto of = [](const google::protobuf::Message& message) {
    return std::static_pointer_cast<const weir::http::ContentCoding>(plugins.extension(message));
  };
  static const std::shared_ptr<const weir::http::ContentCoding> all[] = {of(pb::gzip::decompressor::v3::Gzip()),
                                                                         of(pb::brotli::decompressor::v3::Brotli()),
                                                                         of(pb::zstd::decompressor::v3::Zstd())};
  return all[which];
}

}  // namespace

// The first byte chooses the coding, the second the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  if (size < 2) return 0;
  static BlockPool pool;
  std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t piece = data[1] + 1u;
  auto coder = coding(data[0] % 3u)->make_coder();
  auto decode = [&](std::string& plain) {
    http::CodingResult result = http::CodingResult::kOk;
    for (size_t at = 0; at <= body.size() && result == http::CodingResult::kOk; at += piece) {
      Slices in, out;
      in.append_copy(body.substr(at, piece), pool);
      bool end = at + piece > body.size();
      result = coder->process(in, end ? http::Flush::kEnd : http::Flush::kSync, out, pool);
      plain += out.to_string();
    }
    return result;
  };
  std::string first, again;
  http::CodingResult result = decode(first);
  fuzz::require(first.size() <= 100 * body.size() + 128 * 1024, "more than the ratio allows", body);
  coder->reset();
  fuzz::require(decode(again) == result && again == first, "a coder that was used before decodes differently", body);
  return 0;
}
