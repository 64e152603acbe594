#include "test/sim/sim_client.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace weir::sim {

SimClient::SimClient(uint64_t seed, uint16_t port, ClientShared& shared) : random_(seed), shared_(shared) {
  static constexpr Manner kManners[] = {
      Manner::kPolite,      Manner::kPolite,     Manner::kPolite,     Manner::kPolite,  Manner::kLeavesEarly,
      Manner::kResetsEarly, Manner::kHalfCloses, Manner::kSlowReader, Manner::kGarbage, Manner::kStopsSending};
  manner_ = kManners[random_.below(10)];
  pipelines_ = random_.below(3) == 0;
  plan_requests();
  if (!socket_.connect(port)) done_ = true;
}

void SimClient::plan_requests() {
  size_t total = 0;
  for (uint32_t i = 0, count = 1 + random_.below(5); i < count; ++i) {
    to_send_.push_back(make_request());
    total += to_send_.back().wire.size();
    if (to_send_.back().tunnel) break;
  }
  budget_ = random_.below(static_cast<uint32_t>(total) + 1);
  if (manner_ != Manner::kLeavesEarly && manner_ != Manner::kResetsEarly && manner_ != Manner::kStopsSending)
    budget_ = SIZE_MAX;
}

SimClient::Request SimClient::make_request() {
  Request request;
  request.id = manner_ == Manner::kGarbage ? 0 : shared_.next_id;  // garbled numbers would look like somebody else's
  shared_.next_id += 2;                                            // a body belongs to the number after it
  uint32_t kind = random_.below(12);
  request.direct = kind == 0;
  std::string id = std::to_string(request.id);
  std::string path = request.direct ? "/direct/" + id
                     : kind == 1    ? "/nowhere/" + id
                                    : "/up/" + std::to_string(random_.below(5)) + "/" + id;
  size_t body = random_.below(2) == 0 ? 0 : random_.below(random_.below(4) == 0 ? 300'000 : 500);
  uint32_t method = random_.below(10);
  request.method = body > 0 ? (method < 5 ? "POST" : "PUT") : method == 0 ? "HEAD" : method == 1 ? "DELETE" : "GET";
  size_t answer = random_.below(3) == 0 ? 0 : random_.below(random_.below(4) == 0 ? 300'000 : 2000);
  request.plan = "send=" + std::to_string(body) + ";len=" + std::to_string(answer) +
                 ";frame=" + std::to_string(random_.below(3)) +
                 ";wait=" + std::to_string(random_.below(4) == 0 ? random_.below(30) : 0) +
                 ";trailers=" + std::to_string(random_.below(2)) + ";early=" + std::to_string(random_.below(6) == 0) +
                 ";info=" + std::to_string(random_.below(8) == 0) + ";close=" + std::to_string(random_.below(8) == 0) +
                 ";cut=" + std::to_string(random_.below(20) == 0);
  request.tunnel = random_.below(6) == 0;
  const bool connect = request.tunnel && random_.below(2) == 0;
  if (request.tunnel) request.method = connect ? "CONNECT" : "GET";
  std::string host = "sim.example";
  if (connect) path = host = "id-" + id + ".example:443";
  std::string& wire = request.wire;
  wire = request.method + " " + path + " HTTP/1.1\r\nhost: " + host + "\r\nx-sim-id: " + id +
         "\r\nx-sim-plan: " + request.plan + "\r\n";
  if (manner_ == Manner::kGarbage) wire += "x-sim-garbled: 1\r\n";  // far behind what is garbled
  std::string bytes = pattern(request.id + 1, body);
  if (request.tunnel) {  // its bytes do not wait for the answer
    wire += (connect ? "\r\n" : "connection: upgrade\r\nupgrade: sim\r\n\r\n") + bytes;
    return request;
  }
  if (random_.below(20) == 0) wire += "connection: close\r\n";
  if (body == 0) {
    wire += "\r\n";
  } else if (random_.below(2) == 0) {
    wire += "content-length: " + std::to_string(body) + "\r\n";
    if (random_.below(6) == 0) wire += "expect: 100-continue\r\n";
    wire += "\r\n" + bytes;
  } else {
    wire += "transfer-encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < bytes.size();) {
      size_t piece = std::min<size_t>(1 + random_.below(3000), bytes.size() - at);
      char head[32];
      snprintf(head, sizeof(head), "%zx\r\n", piece);
      wire += head + bytes.substr(at, piece) + "\r\n";
      at += piece;
    }
    wire += random_.below(3) == 0 ? "0\r\nx-sim-trailer: 1\r\n\r\n" : "0\r\n\r\n";
  }
  return request;
}

void SimClient::violation(const std::string& what) {
  if (manner_ == Manner::kGarbage) return;  // it cannot know what it asked for
  if (shared_.violations.size() < 20) shared_.violations.push_back(what + " (" + describe() + ")");
}

std::string SimClient::describe() const {
  std::string text = "manner " + std::to_string(static_cast<int>(manner_)) + (pipelines_ ? ", pipelining" : "") + ", " +
                     std::to_string(to_send_.size()) + " to send, " + std::to_string(socket_.out.size()) +
                     " bytes unsent";
  if (!waiting_.empty())
    text += ", waiting for " + std::to_string(waiting_.front().id) + " " + waiting_.front().method + " " +
            waiting_.front().plan;
  return text;
}

bool SimClient::step(MonoTime now) {
  if (done_) return false;
  bool moved = false;
  if (socket_.out.empty() && !to_send_.empty() && (pipelines_ || waiting_.empty()) && !ended_sending_) {
    waiting_.push_back(std::move(to_send_.front()));
    to_send_.pop_front();
    socket_.out = waiting_.back().wire;
    if (manner_ == Manner::kGarbage && random_.below(2) == 0) {
      size_t at = random_.below(static_cast<uint32_t>(std::min<size_t>(socket_.out.size(), 80)));
      socket_.out[at] = static_cast<char>(random_.below(256));
    }
  }
  size_t before = socket_.out.size();
  moved |= socket_.send_some(std::min<size_t>(budget_, 1 + random_.below(random_.below(3) == 0 ? 10 : 60'000)));
  if (budget_ != SIZE_MAX) budget_ -= std::min(budget_, before - std::min(before, socket_.out.size()));
  if (budget_ == 0 && manner_ != Manner::kStopsSending) {
    if (manner_ == Manner::kResetsEarly) socket_.reset();
    finish();
    return true;
  }
  const bool in_tunnel = reading_response_ && reader_.in_tunnel();
  if ((manner_ == Manner::kHalfCloses || in_tunnel) && to_send_.empty() && socket_.out.empty() && !ended_sending_) {
    ended_sending_ = true;
    socket_.half_close();
    if (in_tunnel) shared_.sent_all.insert(waiting_.front().id);
    moved = true;
  }
  if (not_reading_ > 0) {
    --not_reading_;
  } else {
    moved |=
        socket_.receive_some(1 + random_.below(manner_ == Manner::kSlowReader || random_.below(4) == 0 ? 50 : 65'000));
    if (manner_ == Manner::kSlowReader && random_.below(20) == 0) not_reading_ = random_.below(100);
  }
  while (!waiting_.empty() && !done_) {
    if (!reading_response_) {
      if (socket_.in.empty() && !socket_.peer_ended()) break;
      reader_.begin(waiting_.front().method);
      reading_response_ = true;
    }
    reader_.read(socket_.in, socket_.peer_ended() && !socket_.failed());
    if (reader_.state() == MessageReader::State::kBad) {
      violation("not HTTP: " + reader_.first_line());
      finish();
      return true;
    }
    if (reader_.done() || socket_.peer_ended()) {
      on_response();
      reading_response_ = false;
      if (socket_.peer_ended() && socket_.in.empty()) finish();
    } else {
      break;
    }
  }
  // A refusal that came before the method was known may have a body, also if it was to be HEAD.
  if (waiting_.empty() && !socket_.in.empty() && last_status_ < 400)
    violation("bytes that nobody asked for: " + socket_.in.substr(0, 100));
  if ((waiting_.empty() && to_send_.empty()) || socket_.peer_ended()) finish();
  if (last_move_ == MonoTime{} || moved) last_move_ = now;
  // Every request has a timeout of half a minute at most, from its last byte.
  if (now - last_move_ > 200s) {
    if (manner_ != Manner::kStopsSending && manner_ != Manner::kGarbage) violation("hangs");
    finish();
  }
  return moved;
}

void SimClient::on_response() {
  const Request request = std::move(waiting_.front());
  waiting_.pop_front();
  bool garbled = manner_ == Manner::kGarbage;
  std::string id = reader_.header("x-sim-id");
  if (reader_.has_head() && !id.empty() && id != std::to_string(request.id) && !garbled)
    violation("the answer to another request: " + id);
  size_t length = std::strtoull(reader_.header("x-sim-length").c_str(), nullptr, 10);
  bool from_upstream = !id.empty() && reader_.has_header("x-sim-length");
  uint64_t number = std::strtoull(id.c_str(), nullptr, 10);
  if (reader_.in_tunnel()) {
    // Nobody but the upstream opens one, and says whose it is.
    if (!from_upstream) violation("a tunnel to nowhere");
    ++shared_.statuses[reader_.status()];
    if (!garbled) shared_.answered.insert(request.id);
    std::string expected = pattern(number, length);
    if (!expected.starts_with(reader_.body())) violation("wrong bytes in a tunnel");
    if (reader_.body() != expected) {
      ++shared_.cut;
      return;
    }
    ++shared_.complete;
    ++(request.method == "CONNECT" ? shared_.connected : shared_.upgraded);
    return;
  }
  if (from_upstream && reader_.status() == 200) {
    std::string expected = request.method == "HEAD" ? std::string() : pattern(number, length);
    if (reader_.done() ? reader_.body() != expected : !expected.starts_with(reader_.body())) {
      violation("wrong body: " + std::to_string(reader_.body().size()) + " bytes of " +
                std::to_string(expected.size()));
    }
  }
  if (!reader_.done()) {
    ++shared_.cut;
    socket_.in.clear();  // part of a chunk
    return;
  }
  ++shared_.statuses[reader_.status()];
  last_status_ = reader_.status();
  // Of a request that was refused before it was read, nobody knows the number.
  static const std::set<int> unread = {400, 408, 426, 431, 501};
  if (!garbled && !unread.contains(last_status_)) shared_.answered.insert(request.id);
  if (from_upstream) {
    ++shared_.complete;
    return;
  }
  ++shared_.local;
  int status = reader_.status();
  static const std::set<int> known = {400, 403, 404, 405, 408, 413, 417, 418, 426, 431, 500, 501, 502, 503, 504};
  bool direct = request.direct && status == 200 && (reader_.body() == "direct\n" || request.method == "HEAD");
  if (!direct && !known.contains(status) && !garbled)
    violation("a local answer of " + std::to_string(status) + ": " + reader_.body());
}

void SimClient::finish() {
  done_ = true;
  socket_.close();
}

}  // namespace weir::sim
