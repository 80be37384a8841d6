#pragma once

#include "ending.hpp"
#include "options.hpp"
#include "output.hpp"

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace fanout {

/// "[#####-----]  412/5,000  8 %  230/s  2 failed  ETA 0:20", fit into a width; with 0
/// without the bar, as long as it is.
std::string progress_line(std::size_t done, std::size_t failed, std::optional<std::size_t> total,
                          std::chrono::duration<double> elapsed, std::size_t width);

/// The bar on a terminal, or now and then a line with the time left, as the options ask. What it
/// is made of outlives it.
class progress {
public:
  /// `total` is asked when something is shown.
  progress(const asio::any_io_executor& executor, const options& chosen, const ending& so_far,
           output& to, std::function<std::optional<std::size_t>()> total);

  bool has_bar() const { return has_bar_; }

  void start();
  void stop();

  /// With the first one the time left can be told.
  void job_ended();

  /// Other words come.
  void clear();

  /// What is written without the bar in its way, if on a terminal.
  template <class Write>
  void aside(bool on_terminal, Write write) {
    const bool had_bar = on_terminal && drawn_;
    if (had_bar) {
      clear();
    }
    write();
    if (had_bar) {
      draw();
    }
  }

private:
  void draw();
  void tell_time_left();
  std::string line(std::size_t width) const;

  asio::steady_timer ticks_;
  const ending& so_far_;
  output& to_;
  std::function<std::optional<std::size_t>()> total_;
  bool has_bar_;
  bool has_lines_;
  bool drawn_ = false;
  bool stopped_ = false;
};

} // namespace fanout
