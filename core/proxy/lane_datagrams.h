// A UDP listener on one lane: for each address a socket, and the filters that see what comes there.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "core/event/lane.h"
#include "core/filter/udp_filter.h"
#include "core/net/datagrams.h"
#include "core/proxy/downstream_connection.h"
#include "core/proxy/listener.h"

namespace weir::proxy {

// One socket. Outlives versions of the listener; filters whose configuration stays do, too. [worker]
class DatagramDoor final : private net::DatagramHandler, private filter::DatagramHost, private event::Timer {
 public:
  // `fd`: of the sockets, and owned.
  DatagramDoor(event::Lane& lane, std::shared_ptr<const ListenSockets> sockets, int fd,
               const net::DatagramOptions& options, net::DatagramReader& reader);
  ~DatagramDoor();
  DatagramDoor(const DatagramDoor&) = delete;
  DatagramDoor& operator=(const DatagramDoor&) = delete;

  // A version of the listener. Filters that are replaced go on with what they wait for, at most as long as the plan has
  // for connections.
  void serve(std::shared_ptr<const UdpSpec> spec, std::shared_ptr<ConnectionLimit> limit, const DrainPlan& plan);
  // Behind what the kernel has still got. Filters end with what they wait for, at most as long as the plan has, and are
  // counted in `waiting` meanwhile. `shared`: another process goes on with the socket.
  void leave(const DrainPlan& plan, bool shared, std::atomic<int32_t>& waiting);
  // Filters end.
  void close();
  bool closed() const { return socket_->fd() < 0; }
  bool left() const { return left_; }
  const std::shared_ptr<const ListenSockets>& sockets() const { return sockets_; }

 private:
  struct Serving {
    std::shared_ptr<const UdpSpec> spec;
    std::vector<std::unique_ptr<filter::UdpFilter>> filters;
  };
  struct Leaving {
    std::unique_ptr<filter::UdpFilter> filter;
    MonoTime until;
  };
  // DatagramHandler
  void on_datagrams(const net::Address& peer, const net::Address& local, const net::Datagrams& datagrams) override;
  void on_batch_end() override;
  void on_dropped(uint64_t datagrams) override;
  void on_receive_failed() override;
  void on_send_failed(const net::Address& to, const net::Address& from, uint64_t sender, uint32_t datagrams) override;
  // DatagramHost
  event::Lane& lane() override { return lane_; }
  const net::Address& local() const override { return socket_->local(); }
  void send(const net::Address& to, const net::Address& from, const net::Datagrams& datagrams,
            uint64_t sender) override {
    socket_->send(to, from, datagrams, sender);
  }
  net::DatagramReader& reader() override { return reader_; }
  bool take_descriptor() override;
  void give_descriptor_back() override;
  // Timer: whether leaving filters have ended
  void on_timer() override;

  event::Lane& lane_;
  const std::shared_ptr<const ListenSockets> sockets_;
  net::DatagramReader& reader_;
  std::shared_ptr<ConnectionLimit> limit_;
  std::unique_ptr<net::DatagramSocket> socket_;
  Serving serving_;
  std::vector<Leaving> leaving_;
  std::atomic<int32_t>* waiting_ = nullptr;  // not null: it has left, and is counted there
  bool left_ = false;
};

using DatagramDoors = std::vector<std::unique_ptr<DatagramDoor>>;

}  // namespace weir::proxy
