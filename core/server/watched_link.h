// A link that a lane reads from: its messages arrive as calls.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "core/event/lane.h"
#include "core/server/link.h"

namespace weir::server {

// [main]
class WatchedLink final : private event::Pollable {
 public:
  // `told` runs for every message (whose descriptor is its own then), and at last with nullptr when the other side has
  // gone; it may drop this.
  using Told = absl::AnyInvocable<void(LinkMessage* message)>;
  WatchedLink(event::Lane& lane, Link link, Told told) : lane_(lane), link_(std::move(link)), told_(std::move(told)) {
    lane_.poller().add_level(link_.fd(), *this);
  }
  ~WatchedLink() { release(); }
  WatchedLink(const WatchedLink&) = delete;
  WatchedLink& operator=(const WatchedLink&) = delete;

  Link& link() { return link_; }
  // The link without its watch.
  Link release() {
    if (link_.open()) lane_.poller().remove(link_.fd());
    return std::move(link_);
  }
  // An event for it may be on its way in this turn.
  static void drop(event::Lane& lane, std::unique_ptr<WatchedLink> one) {
    if (one == nullptr) return;
    one->release();
    lane.post([gone = std::move(one)] {});
  }

 private:
  void on_ready(uint32_t) override {
    for (int i = 0; i < 64 && link_.open(); ++i) {
      LinkMessage message;
      switch (link_.receive(message)) {
        case Link::Got::kNothing:
          return;
        case Link::Got::kMessage:
          told_(&message);
          if (message.fd >= 0) Link(message.fd).close();  // that nobody has taken
          break;
        case Link::Got::kEnd:
          release();
          told_(nullptr);
          return;
      }
    }
  }

  event::Lane& lane_;
  Link link_;
  Told told_;
};

}  // namespace weir::server
