// envoy.compression.brotli.compressor and .decompressor: br (RFC 7932) by Google's library.
#include <brotli/decode.h>
#include <brotli/encode.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/assert.h"
#include "core/filter/register.h"
#include "core/http/content_coding.h"
#include "envoy/extensions/compression/brotli/compressor/v3/brotli.pb.h"
#include "envoy/extensions/compression/brotli/decompressor/v3/brotli.pb.h"

namespace weir::extensions::brotli {
namespace {

using http::CodedOutput;
using http::CodingResult;
using http::Flush;

struct CompressorSettings {
  uint32_t quality = 3;
  uint32_t window_bits = 18;
  uint32_t input_block_bits = 24;
  BrotliEncoderMode mode = BROTLI_MODE_GENERIC;
  bool disable_literal_context_modeling = false;
};

class Compressor final : public http::ContentCoder {
 public:
  // What is allocated is added to `allocated`, if there is one.
  explicit Compressor(const CompressorSettings& settings, uint64_t* allocated = nullptr)
      : settings_(settings), allocated_(allocated) {
    make();
  }
  ~Compressor() override { BrotliEncoderDestroyInstance(state_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    for (size_t i = 0; i < in.slice_count(); ++i) feed(in.at(i), BROTLI_OPERATION_PROCESS, output);
    in.clear();
    if (flush == Flush::kSync) feed(Slice(), BROTLI_OPERATION_FLUSH, output);
    if (flush == Flush::kEnd) feed(Slice(), BROTLI_OPERATION_FINISH, output);
    return CodingResult::kOk;
  }
  // The library has no reset.
  void reset() override {
    BrotliEncoderDestroyInstance(state_);
    make();
  }

 private:
  static void* count(void* allocated, size_t bytes) {
    *static_cast<uint64_t*>(allocated) += bytes;
    return malloc(bytes);
  }
  void make() {
    state_ = allocated_ == nullptr ? BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)
                                   : BrotliEncoderCreateInstance(
                                         &count, [](void*, void* memory) { free(memory); }, allocated_);
    WEIR_CHECK(state_ != nullptr);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, settings_.quality);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, settings_.window_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGBLOCK, settings_.input_block_bits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_MODE, settings_.mode);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING,
                              settings_.disable_literal_context_modeling);
  }
  void feed(const Slice& slice, BrotliEncoderOperation operation, CodedOutput& output) {
    size_t left = slice.size;
    const auto* from = reinterpret_cast<const uint8_t*>(slice.data);
    do {
      size_t room = 0;
      auto* to = reinterpret_cast<uint8_t*>(output.room(room));
      size_t before = room;
      WEIR_CHECK(BrotliEncoderCompressStream(state_, operation, &left, &from, &room, &to, nullptr));
      output.wrote(before - room);
    } while (left > 0 || BrotliEncoderHasMoreOutput(state_));
  }

  const CompressorSettings settings_;
  uint64_t* const allocated_;
  BrotliEncoderState* state_ = nullptr;
};

// What an encoder holds. Its tables are made for the first byte; its memory of the body becomes real as that comes, and
// so do the trees of the highest qualities, of two links for each byte of the window.
class StateSize {
 public:
  explicit StateSize(const CompressorSettings& settings) : window_(uint64_t{1} << settings.window_bits) {
    BlockPool pool;
    Slices in, out;
    in.append_copy("x", pool);
    Compressor(settings, &tables_).process(in, Flush::kSync, out, pool);
    if (settings.quality >= kMinQualityOfTrees) {
      link_bytes_ = 8;
      tables_ -= std::min(tables_, link_bytes_ * window_);
    }
    const uint32_t block_bits = settings.quality < kMinQualityOfBlocks ? 0 : settings.input_block_bits;
    body_ = std::max(window_, uint64_t{1} << block_bits) * 2;
  }
  uint64_t operator()(uint64_t body) const {
    return tables_ + std::min(body, body_) + link_bytes_ * std::min(body, window_);
  }

 private:
  // The library's: below this it goes by blocks of its own.
  static constexpr uint32_t kMinQualityOfBlocks = 4;
  static constexpr uint32_t kMinQualityOfTrees = 10;

  uint64_t window_;
  uint64_t body_;
  uint64_t tables_ = 0;
  uint64_t link_bytes_ = 0;
};

class Decompressor final : public http::ContentCoder {
 public:
  Decompressor() { make(); }
  ~Decompressor() override { BrotliDecoderDestroyInstance(state_); }

  CodingResult process(Slices& in, Flush flush, Slices& out, BlockPool& pool) override {
    CodedOutput output(out, pool);
    for (size_t i = 0; i < in.slice_count(); ++i) {
      CodingResult result = feed(in.at(i), output);
      if (result != CodingResult::kOk) return result;
    }
    in.clear();
    return flush == Flush::kEnd && !BrotliDecoderIsFinished(state_) ? CodingResult::kInvalid : CodingResult::kOk;
  }
  void reset() override {
    BrotliDecoderDestroyInstance(state_);
    make();
    limit_.reset();
  }

 private:
  void make() {
    state_ = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    WEIR_CHECK(state_ != nullptr);
  }
  CodingResult feed(const Slice& slice, CodedOutput& output) {
    size_t left = slice.size;
    const auto* from = reinterpret_cast<const uint8_t*>(slice.data);
    while (true) {
      size_t room = 0;
      auto* to = reinterpret_cast<uint8_t*>(output.room(room));
      size_t room_before = room;
      size_t left_before = left;
      BrotliDecoderResult result = BrotliDecoderDecompressStream(state_, &left, &from, &room, &to, nullptr);
      output.wrote(room_before - room);
      if (limit_.exceeded(left_before - left, room_before - room)) return CodingResult::kTooLarge;
      switch (result) {
        case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
          continue;
        case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
          return CodingResult::kOk;
        case BROTLI_DECODER_RESULT_SUCCESS:
          return CodingResult::kOk;  // bytes behind the end are ignored, as published
        case BROTLI_DECODER_RESULT_ERROR:
          return CodingResult::kInvalid;
      }
    }
  }

  BrotliDecoderState* state_ = nullptr;
  http::RatioLimit limit_{100};
};

namespace compressor_pb = envoy::extensions::compression::brotli::compressor::v3;
namespace decompressor_pb = envoy::extensions::compression::brotli::decompressor::v3;

class CompressorConfig final : public http::ContentCoding {
 public:
  explicit CompressorConfig(const CompressorSettings& settings) : settings_(settings), state_size_(settings) {}
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const compressor_pb::Brotli& proto,
                                                                       filter::FactoryScope&) {
    CompressorSettings settings;
    if (proto.has_quality()) settings.quality = proto.quality().value();
    if (proto.has_window_bits()) settings.window_bits = proto.window_bits().value();
    if (proto.has_input_block_bits()) settings.input_block_bits = proto.input_block_bits().value();
    if (proto.encoder_mode() == compressor_pb::Brotli::TEXT) settings.mode = BROTLI_MODE_TEXT;
    if (proto.encoder_mode() == compressor_pb::Brotli::FONT) settings.mode = BROTLI_MODE_FONT;
    settings.disable_literal_context_modeling = proto.disable_literal_context_modeling();
    return std::make_shared<const CompressorConfig>(settings);
  }
  std::string_view encoding() const override { return "br"; }
  std::string_view stat_name() const override { return "brotli"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override { return std::make_unique<Compressor>(settings_); }
  uint64_t state_bytes(uint64_t body) const override { return state_size_(body); }

 private:
  const CompressorSettings settings_;
  const StateSize state_size_;
};

class DecompressorConfig final : public http::ContentCoding {
 public:
  static Result<std::shared_ptr<const http::ContentCoding>> from_proto(const decompressor_pb::Brotli&,
                                                                       filter::FactoryScope&) {
    return std::make_shared<const DecompressorConfig>();
  }
  std::string_view encoding() const override { return "br"; }
  std::string_view stat_name() const override { return "brotli"; }
  std::unique_ptr<http::ContentCoder> make_coder() const override { return std::make_unique<Decompressor>(); }
  // Its window becomes real as the body comes.
  uint64_t state_bytes(uint64_t body) const override {
    constexpr uint64_t kTables = 64 * 1024;
    return kTables + std::min(body, uint64_t{1} << BROTLI_MAX_WINDOW_BITS);
  }
};

}  // namespace
}  // namespace weir::extensions::brotli

namespace weir::plugins {
void compression_brotli(filter::RegistryBuilder& registry) {
  using namespace extensions::brotli;
  registry.add(
      filter::describe_extension<CompressorConfig>("compressor_library", "envoy.compression.brotli.compressor"));
  registry.add(
      filter::describe_extension<DecompressorConfig>("decompressor_library", "envoy.compression.brotli.decompressor"));
}
}  // namespace weir::plugins
