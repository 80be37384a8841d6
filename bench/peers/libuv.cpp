// libuv: uv_spawn and the exit callback on its loop.

#include "../serve.hpp"

#include <uv.h>

#include <stdexcept>
#include <string>

namespace {

using namespace bench;

struct measured_spawn {
  uv_process_t process{};
  bool closed = false;
  bool well = false;
};

void on_exit(uv_process_t* process, std::int64_t status, int signal) {
  static_cast<measured_spawn*>(process->data)->well = status == 0 && signal == 0;
  uv_close(reinterpret_cast<uv_handle_t*>(process),
           [](uv_handle_t* handle) { static_cast<measured_spawn*>(handle->data)->closed = true; });
}

samples run(const std::string& program, int count) {
  uv_loop_t* const loop = uv_default_loop();
  char* argv[] = {const_cast<char*>(program.c_str()), nullptr};
  uv_stdio_container_t stdio[3];
  for (int fd = 0; fd < 3; ++fd) {
    stdio[fd].flags = UV_INHERIT_FD;
    stdio[fd].data.fd = fd;
  }
  uv_process_options_t options{};
  options.file = argv[0];
  options.args = argv;
  options.exit_cb = &on_exit;
  options.stdio = stdio;
  options.stdio_count = 3;

  samples measured;
  for (int i = 0; i < count; ++i) {
    measured_spawn one;
    one.process.data = &one;
    const auto start = now_ns();
    const int error = uv_spawn(loop, &one.process, &options);
    const auto spawned = now_ns();
    if (error != 0) {
      throw std::runtime_error(uv_strerror(error));
    }
    while (!one.closed) {
      uv_run(loop, UV_RUN_ONCE);
    }
    if (!one.well) {
      throw std::runtime_error("the child failed");
    }
    measured.push_back({now_ns() - start, spawned - start});
  }
  return measured;
}

/// As ticker.hpp has it.
class uv_ticker {
public:
  explicit uv_ticker(uv_loop_t* loop) {
    uv_timer_init(loop, &timer_);
    timer_.data = this;
    arm();
  }
  uv_ticker(const uv_ticker&) = delete;
  uv_ticker& operator=(const uv_ticker&) = delete;
  ~uv_ticker() {
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
    uv_run(timer_.loop, UV_RUN_DEFAULT);
  }

  const samples& ticks() const { return ticks_; }

private:
  void arm() {
    armed_ = now_ns();
    uv_timer_start(
        &timer_,
        [](uv_timer_t* timer) {
          auto& self = *static_cast<uv_ticker*>(timer->data);
          self.ticks_.push_back({now_ns() - self.armed_, 0});
          self.arm();
        },
        1, 0);
  }

  uv_timer_t timer_{};
  samples ticks_;
  std::int64_t armed_ = 0;
};

samples tick(const std::string& program, int count) {
  const uv_ticker ticks(uv_default_loop());
  run(program, count);
  return ticks.ticks();
}

} // namespace

int main() {
  service offered;
  offered.version = std::string("libuv ") + uv_version_string();
  offered.run["spawn"] = &run;
  offered.run["tick"] = &tick;
  return serve(std::move(offered));
}
