// envoy.compression.gzip.compressor and .decompressor: gzip (RFC 1952) by zlib.
#include <zlib.h>

#include "core/base/assert.h"
#include "core/filter/register.h"
#include "core/http/content_coding.h"
#include "envoy/extensions/compression/gzip/compressor/v3/gzip.pb.h"
#include "envoy/extensions/compression/gzip/decompressor/v3/gzip.pb.h"

namespace weir::extensions::gzip {
namespace {

using http::CodedOutput;
using http::CodingResult;
using http::Flush;

constexpr Bytef kGzipMagic = 0x1f;  // what every member begins with
constexpr int kGzipFraming = 16;    // added to windowBits: zlib writes and reads the gzip wrapper

struct CompressorSettings {
  int level = Z_DEFAULT_COMPRESSION;
  int strategy = Z_DEFAULT_STRATEGY;
  int memory_level = 5;
  int window_bits = 12;
};

class Compressor final : public http::ContentCoder {
 public:
  explicit Compressor(const CompressorSettings& settings) {
    int result = deflateInit2(&zlib_, settings.level, Z_DEFLATED, settings.window_bits + kGzipFraming,
                              settings.memory_level, settings.strategy);
    WEIR_CHECK(result == Z_OK);  // only memory can be short: the settings were checked
  }
  ~Compressor() override { deflateEnd(&zlib_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    size_t count = in.slice_count();
    for (size_t i = 0; i < count; ++i) {
      feed(in.at(i), i + 1 == count ? flush : Flush::kNone, output);
    }
    if (count == 0 && flush != Flush::kNone) feed(Slice(), flush, output);
    in.clear();
    return CodingResult::kOk;
  }
  void reset() override { deflateReset(&zlib_); }

 private:
  void feed(const Slice& slice, Flush flush, CodedOutput& output) {
    zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(slice.data));
    zlib_.avail_in = slice.size;
    int mode = flush == Flush::kEnd ? Z_FINISH : flush == Flush::kSync ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    int result;
    do {
      size_t room = 0;
      char* to = output.room(room);
      zlib_.next_out = reinterpret_cast<Bytef*>(to);
      zlib_.avail_out = static_cast<uInt>(room);
      result = deflate(&zlib_, mode);
      output.wrote(room - zlib_.avail_out);
      // A full buffer may mean that more waits; Z_BUF_ERROR that nothing did.
    } while (zlib_.avail_out == 0 && result == Z_OK);
  }

  z_stream zlib_{};
};

class Decompressor final : public http::ContentCoder {
 public:
  Decompressor(int window_bits, uint32_t max_ratio) : limit_(max_ratio) {
    WEIR_CHECK(inflateInit2(&zlib_, window_bits + kGzipFraming) == Z_OK);
  }
  ~Decompressor() override { inflateEnd(&zlib_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    for (size_t i = 0; i < in.slice_count(); ++i) {
      CodingResult result = feed(in.at(i), output);
      if (result != CodingResult::kOk) return result;
    }
    in.clear();
    return flush == Flush::kEnd && !between_members_ ? CodingResult::kInvalid : CodingResult::kOk;
  }
  void reset() override {
    inflateReset(&zlib_);
    limit_.reset();
    between_members_ = over_ = false;
  }

 private:
  CodingResult feed(const Slice& slice, CodedOutput& output) {
    zlib_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(slice.data));
    zlib_.avail_in = slice.size;
    while (true) {
      if (between_members_) {
        // RFC 1952 2.2: a body may be several members, one after the other. Padding and the like is ignored, as
        // published.
        if (zlib_.avail_in == 0) return CodingResult::kOk;
        over_ |= *zlib_.next_in != kGzipMagic;
        if (over_) return CodingResult::kOk;
        inflateReset(&zlib_);
        between_members_ = false;
      }
      size_t room = 0;
      char* to = output.room(room);
      zlib_.next_out = reinterpret_cast<Bytef*>(to);
      zlib_.avail_out = static_cast<uInt>(room);
      uInt before = zlib_.avail_in;
      int result = inflate(&zlib_, Z_NO_FLUSH);
      output.wrote(room - zlib_.avail_out);
      if (limit_.exceeded(before - zlib_.avail_in, room - zlib_.avail_out)) return CodingResult::kTooLarge;
      if (result == Z_STREAM_END) {
        between_members_ = true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return CodingResult::kInvalid;
      } else if (zlib_.avail_in == 0 && zlib_.avail_out != 0) {
        return CodingResult::kOk;
      }
    }
  }

  z_stream zlib_{};
  http::RatioLimit limit_;
  bool between_members_ = false;
  bool over_ = false;  // what follows is no member
};

namespace compressor_pb = envoy::extensions::compression::gzip::compressor::v3;
namespace decompressor_pb = envoy::extensions::compression::gzip::decompressor::v3;

class CompressorConfig final : public http::ContentCoding {
 public:
  explicit CompressorConfig(const CompressorSettings& settings) : settings_(settings) {}
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const compressor_pb::Gzip& proto,
                                                                       filter::FactoryScope&) {
    CompressorSettings settings;
    // COMPRESSION_LEVEL_n is n; DEFAULT_COMPRESSION is zlib's own choice.
    if (proto.compression_level() != compressor_pb::Gzip::DEFAULT_COMPRESSION)
      settings.level = proto.compression_level();
    settings.strategy = proto.compression_strategy();  // the numbers are zlib's
    if (proto.has_memory_level()) settings.memory_level = static_cast<int>(proto.memory_level().value());
    if (proto.has_window_bits()) settings.window_bits = static_cast<int>(proto.window_bits().value());
    return std::make_shared<const CompressorConfig>(settings);
  }
  std::string_view encoding() const override { return "gzip"; }
  std::string_view stat_name() const override { return "gzip"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override { return std::make_unique<Compressor>(settings_); }
  // As zlib documents it: all at once.
  uint64_t state_bytes(uint64_t) const override {
    return (uint64_t{4} << settings_.window_bits) + (uint64_t{512} << settings_.memory_level);
  }

 private:
  const CompressorSettings settings_;
};

class DecompressorConfig final : public http::ContentCoding {
 public:
  DecompressorConfig(int window_bits, uint32_t max_ratio) : window_bits_(window_bits), max_ratio_(max_ratio) {}
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const decompressor_pb::Gzip& proto,
                                                                       filter::FactoryScope&) {
    int bits = proto.has_window_bits() ? static_cast<int>(proto.window_bits().value()) : 15;
    uint32_t ratio = proto.has_max_inflate_ratio() ? proto.max_inflate_ratio().value() : 100;
    return std::make_shared<const DecompressorConfig>(bits, ratio);
  }
  std::string_view encoding() const override { return "gzip"; }
  std::string_view stat_name() const override { return "gzip"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override {
    return std::make_unique<Decompressor>(window_bits_, max_ratio_);
  }

 private:
  const int window_bits_;
  const uint32_t max_ratio_;
};

}  // namespace
}  // namespace weir::extensions::gzip

namespace weir::plugins {
void compression_gzip(filter::RegistryBuilder& registry) {
  using namespace extensions::gzip;
  registry.add(filter::describe_extension<CompressorConfig>("compressor_library", "envoy.compression.gzip.compressor"));
  registry.add(
      filter::describe_extension<DecompressorConfig>("decompressor_library", "envoy.compression.gzip.decompressor"));
}
}  // namespace weir::plugins
