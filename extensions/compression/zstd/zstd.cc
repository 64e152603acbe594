// envoy.compression.zstd.compressor and .decompressor: zstd (RFC 8878).
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>

#include "core/base/assert.h"
#include "core/filter/register.h"
#include "core/http/content_coding.h"
#include "envoy/extensions/compression/zstd/compressor/v3/zstd.pb.h"
#include "envoy/extensions/compression/zstd/decompressor/v3/zstd.pb.h"

namespace weir::extensions::zstd {
namespace {

using http::CodedOutput;
using http::CodingResult;
using http::Flush;

struct CompressorSettings {
  int level = ZSTD_CLEVEL_DEFAULT;
  int strategy = 0;  // 0: what the level says
  bool checksum = false;
};

class Compressor final : public http::ContentCoder {
 public:
  explicit Compressor(const CompressorSettings& settings) : state_(ZSTD_createCCtx()) {
    WEIR_CHECK(state_ != nullptr);
    ZSTD_CCtx_setParameter(state_, ZSTD_c_compressionLevel, settings.level);
    if (settings.strategy != 0) ZSTD_CCtx_setParameter(state_, ZSTD_c_strategy, settings.strategy);
    ZSTD_CCtx_setParameter(state_, ZSTD_c_checksumFlag, settings.checksum);
    // RFC 8878 3.1.1.1.2: what every decoder must be able to read.
    ZSTD_CCtx_setParameter(state_, ZSTD_c_windowLog, kMaxWindowLog);
  }
  ~Compressor() override { ZSTD_freeCCtx(state_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    for (size_t i = 0; i < in.slice_count(); ++i) feed(in.at(i), ZSTD_e_continue, output);
    in.clear();
    if (flush == Flush::kSync) feed(Slice(), ZSTD_e_flush, output);
    if (flush == Flush::kEnd) feed(Slice(), ZSTD_e_end, output);
    return CodingResult::kOk;
  }
  void reset() override { ZSTD_CCtx_reset(state_, ZSTD_reset_session_only); }

  static constexpr int kMaxWindowLog = 20;
  // What the state takes without its window: tables, for the most part.
  size_t table_bytes() {
    BlockPool pool;
    Slices in, out;
    in.append_copy("x", pool);
    process(in, Flush::kNone, out, pool);  // makes them
    return ZSTD_sizeof_CCtx(state_) - (size_t{1} << kMaxWindowLog);
  }

 private:
  void feed(const Slice& slice, ZSTD_EndDirective directive, CodedOutput& output) {
    ZSTD_inBuffer in{slice.data, slice.size, 0};
    size_t waiting;
    do {
      size_t room = 0;
      ZSTD_outBuffer out{output.room(room), 0, 0};
      out.size = room;
      waiting = ZSTD_compressStream2(state_, &out, &in, directive);
      WEIR_CHECK(!ZSTD_isError(waiting));
      output.wrote(out.pos);
    } while (directive == ZSTD_e_continue ? in.pos < in.size : waiting > 0);
  }

  ZSTD_CCtx* state_;
};

class Decompressor final : public http::ContentCoder {
 public:
  // A frame may ask for a window of any size; this is what RFC 8878 recommends to allow.
  static constexpr int kMaxWindowLog = 23;
  static constexpr uint64_t kTables = 192 * 1024;  // and what waits for the end of its block
  Decompressor() { make(); }
  ~Decompressor() override { ZSTD_freeDCtx(state_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    for (size_t i = 0; i < in.slice_count(); ++i) {
      CodingResult result = feed(in.at(i), output);
      if (result != CodingResult::kOk) return result;
    }
    in.clear();
    return flush == Flush::kEnd && expects_more_ ? CodingResult::kInvalid : CodingResult::kOk;
  }
  void reset() override {
    if (ZSTD_sizeof_DCtx(state_) <= kMostKept) {
      ZSTD_DCtx_reset(state_, ZSTD_reset_session_only);
    } else {
      ZSTD_freeDCtx(state_);
      make();
    }
    limit_.reset();
    expects_more_ = true;
  }

 private:
  static constexpr size_t kMostKept = 1024 * 1024;  // with the window of the last body
  void make() {
    state_ = ZSTD_createDCtx();
    WEIR_CHECK(state_ != nullptr);
    ZSTD_DCtx_setParameter(state_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  CodingResult feed(const Slice& slice, CodedOutput& output) {
    ZSTD_inBuffer in{slice.data, slice.size, 0};
    while (true) {
      size_t room = 0;
      ZSTD_outBuffer out{output.room(room), 0, 0};
      out.size = room;
      size_t before = in.pos;
      size_t result = ZSTD_decompressStream(state_, &out, &in);
      output.wrote(out.pos);
      if (ZSTD_isError(result)) return CodingResult::kInvalid;
      if (limit_.exceeded(in.pos - before, out.pos)) return CodingResult::kTooLarge;
      expects_more_ = result != 0;
      // Called again at the end of a frame it would begin another one.
      if (in.pos == in.size && (result == 0 || out.pos < out.size)) return CodingResult::kOk;
    }
  }

  ZSTD_DCtx* state_ = nullptr;
  http::RatioLimit limit_{100};
  bool expects_more_ = true;  // the last frame has not ended
};

namespace compressor_pb = envoy::extensions::compression::zstd::compressor::v3;
namespace decompressor_pb = envoy::extensions::compression::zstd::decompressor::v3;

class CompressorConfig final : public http::ContentCoding {
 public:
  explicit CompressorConfig(const CompressorSettings& settings)
      : settings_(settings), table_bytes_(Compressor(settings).table_bytes()) {}
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const compressor_pb::Zstd& proto,
                                                                       filter::FactoryScope& scope) {
    CompressorSettings settings;
    if (proto.has_compression_level()) settings.level = static_cast<int>(proto.compression_level().value());
    if (settings.level > ZSTD_maxCLevel()) {
      scope.error("compression_level", std::to_string(settings.level) + " is more than the highest level, " +
                                           std::to_string(ZSTD_maxCLevel()));
    }
    settings.strategy = proto.strategy();  // the numbers are the library's
    settings.checksum = proto.enable_checksum();
    return std::make_shared<const CompressorConfig>(settings);
  }
  std::string_view encoding() const override { return "zstd"; }
  std::string_view stat_name() const override { return "zstd"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override { return std::make_unique<Compressor>(settings_); }
  uint64_t state_bytes(uint64_t body) const override {
    return table_bytes_ + std::min(body, uint64_t{1} << Compressor::kMaxWindowLog);
  }

 private:
  const CompressorSettings settings_;
  const uint64_t table_bytes_;
};

class DecompressorConfig final : public http::ContentCoding {
 public:
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const decompressor_pb::Zstd&,
                                                                       filter::FactoryScope&) {
    return std::make_shared<const DecompressorConfig>();
  }
  std::string_view encoding() const override { return "zstd"; }
  std::string_view stat_name() const override { return "zstd"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override { return std::make_unique<Decompressor>(); }
  // Its window becomes real as the body comes.
  uint64_t state_bytes(uint64_t body) const override {
    return Decompressor::kTables + std::min(body, uint64_t{1} << Decompressor::kMaxWindowLog);
  }
};

}  // namespace
}  // namespace weir::extensions::zstd

namespace weir::plugins {
void compression_zstd(filter::RegistryBuilder& registry) {
  using namespace extensions::zstd;
  registry.add(filter::describe_extension<CompressorConfig>("compressor_library", "envoy.compression.zstd.compressor"));
  registry.add(
      filter::describe_extension<DecompressorConfig>("decompressor_library", "envoy.compression.zstd.decompressor"));
}
}  // namespace weir::plugins
