// Every content coding. Bytes of anybody are decoded without a fault and to no more than the ratio allows; what was
// coded here comes back, whatever the pieces and flushes; and a coder that was used before does the same as a new one.
#include <cstdint>
#include <memory>
#include <string>

#include "core/http/content_coding.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"
#include "test/fuzz/input.h"
#include "test/support/plugin_scope.h"

namespace {

namespace pb = envoy::extensions::compression;
using weir::http::CodingResult;
using weir::http::ContentCoder;
using weir::http::ContentCoding;
using weir::http::Flush;

std::shared_ptr<const ContentCoding> coding_of(const google::protobuf::Message& message) {
  static weir::test::PluginScope plugins;
  return std::static_pointer_cast<const ContentCoding>(plugins.extension(message));
}

struct Outcome {
  CodingResult result = CodingResult::kOk;
  std::string text;
  bool operator==(const Outcome&) const = default;
};

Outcome run(ContentCoder& coder, std::string_view text, size_t piece, Flush each) {
  static weir::BlockPool pool;
  Outcome outcome;
  bool end = false;
  while (!end && outcome.result == CodingResult::kOk) {
    weir::Slices in, out;
    std::string_view now = text.substr(0, piece);
    text.remove_prefix(now.size());
    end = text.empty();
    in.append_copy(now, pool);
    outcome.result = coder.process(in, end ? Flush::kEnd : each, out, pool);
    outcome.text += out.to_string();
  }
  return outcome;
}

}  // namespace

// The first byte chooses the coding and what to do, the second the size of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::shared_ptr<const ContentCoding> compressors[] = {coding_of(pb::gzip::compressor::v3::Gzip()),
                                                                     coding_of(pb::brotli::compressor::v3::Brotli()),
                                                                     coding_of(pb::zstd::compressor::v3::Zstd())};
  static const std::shared_ptr<const ContentCoding> decompressors[] = {
      coding_of(pb::gzip::decompressor::v3::Gzip()), coding_of(pb::brotli::decompressor::v3::Brotli()),
      coding_of(pb::zstd::decompressor::v3::Zstd())};
  if (size < 2) return 0;
  std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  size_t which = data[0] % 3u;
  size_t piece = data[1] + 1u;
  auto decoder = decompressors[which]->make_coder();
  if ((data[0] & 0x80) != 0) {
    auto coder = compressors[which]->make_coder();
    Flush each = (data[0] & 0x40) != 0 ? Flush::kSync : Flush::kNone;
    Outcome coded = run(*coder, body, piece, each);
    Outcome plain = run(*decoder, coded.text, piece, Flush::kSync);
    // What is coded well enough looks like a bomb.
    if (plain.result != CodingResult::kTooLarge)
      weir::fuzz::require(plain == Outcome{CodingResult::kOk, std::string(body)}, "it does not come back", body,
                          plain.text);
    coder->reset();
    weir::fuzz::require(run(*coder, body, piece, each) == coded, "a used coder codes differently", body);
    return 0;
  }
  Outcome plain = run(*decoder, body, piece, Flush::kSync);
  weir::fuzz::require(plain.text.size() <= 100 * body.size() + 128 * 1024, "more than the ratio allows", body);
  decoder->reset();
  weir::fuzz::require(run(*decoder, body, piece, Flush::kSync) == plain, "a used decoder decodes differently", body);
  return 0;
}
