// See floor.h.
//
//   --upstream=PORT,PORT...  --port=N (0 picks one)  --loop=epoll|uv_tcp|uv_poll|uv_embed
//   --pool=128  --buffer=65536  --close-after-response
#include "floor.h"

int main(int argc, char** argv) {
  using namespace weir::bench;
  prepare_process();
  Options options(argc, argv);
  FloorSettings settings;
  settings.port = static_cast<uint16_t>(options.number("port", 0));
  settings.upstream_ports = options.ports("upstream");
  settings.pool = static_cast<size_t>(options.number("pool", 128));
  settings.buffer_size = static_cast<size_t>(options.number("buffer", 64 << 10));
  settings.close_after_response = options.flag("close-after-response");
  const std::string loop = options.text("loop", "epoll");
  options.finish();
  if (settings.upstream_ports.empty()) {
    std::fprintf(stderr, "usage: floor --upstream=PORT[,PORT...] [--port=N] [--loop=epoll|uv_tcp|uv_poll|uv_embed]\n");
    return 2;
  }
  const int listener = listen_loopback(settings.port);
  std::printf("{\"port\":%d}\n", settings.port);
  std::fflush(stdout);
  if (loop == "epoll") run_floor_epoll(settings, listener, /*embed_uv=*/false);
  if (loop == "uv_embed") run_floor_epoll(settings, listener, /*embed_uv=*/true);
  if (loop == "uv_tcp") run_floor_uv_tcp(settings, listener);
  if (loop == "uv_poll") run_floor_uv_poll(settings, listener);
  std::fprintf(stderr, "--loop: expected epoll, uv_tcp, uv_poll or uv_embed, found '%s'\n", loop.c_str());
  return 2;
}
