// Why a direction of a stream stands still. Whoever cannot take more bytes blocks with its own reason and unblocks with
// the same; bytes move only while no reason is left. One object between the slow end and the reader it stops: no chain
// of forwarded pauses.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace weir::filter {

enum class FlowReason : uint16_t {
  kChainBuffer = 1,         // bytes wait in the chain for a paused filter
  kUpstreamConnecting = 2,  // no upstream connection yet, and its buffer is full
  kUpstreamFull = 4,        // the upstream connection's queue is above its watermark
  kDownstreamFull = 8,      // the downstream connection's queue is above its watermark
  kReplayFull = 16,
  kFilter = 32,  // a filter asked for it (rate limits)
};

class FlowControl {
 public:
  // Told when the set of reasons becomes non-empty or empty.
  class Reader {
   public:
    virtual void on_flow(FlowControl& flow, bool blocked) = 0;

   protected:
    ~Reader() = default;
  };

  void set_reader(Reader* reader) { reader_ = reader; }
  void block(FlowReason reason) {
    if (released_) return;
    bool was = blocked();
    reasons_ |= static_cast<uint16_t>(reason);
    if (!was && reader_ != nullptr) reader_->on_flow(*this, true);
  }
  void unblock(FlowReason reason) {
    if (!blocked()) return;
    reasons_ &= static_cast<uint16_t>(~static_cast<uint16_t>(reason));
    if (!blocked() && reader_ != nullptr) reader_->on_flow(*this, false);
  }
  // Bytes move from now on, whatever anybody says: they are not wanted any more.
  void release() {
    Reader* reader = std::exchange(reader_, nullptr);
    if (std::exchange(reasons_, 0) != 0 && reader != nullptr) reader->on_flow(*this, false);
    released_ = true;
  }
  bool blocked() const { return reasons_ != 0; }
  bool blocked_by(FlowReason reason) const { return (reasons_ & static_cast<uint16_t>(reason)) != 0; }
  // "upstream_full,filter", for the admin's stream dump.
  std::string reasons_text() const;

 private:
  uint16_t reasons_ = 0;
  bool released_ = false;
  Reader* reader_ = nullptr;
};

}  // namespace weir::filter
