#include "progress.hpp"

#include "console.hpp"

#include <subproc/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace fanout {

std::string progress_line(std::size_t done, std::size_t failed, std::optional<std::size_t> total,
                          std::chrono::duration<double> elapsed, std::size_t width) {
  const double rate = elapsed.count() > 0 ? static_cast<double>(done) / elapsed.count() : 0;
  std::string text = total ? fmt::format("{}/{}", done, *total) : fmt::format("{}", done);
  text += fmt::format("  {:.0f}/s", rate);
  if (failed != 0) {
    text += fmt::format("  {} failed", failed);
  }
  if (total && rate > 0) {
    const auto left = std::lround(static_cast<double>(*total - done) / rate);
    text += fmt::format("  ETA {}:{:02}", left / 60, left % 60);
  }
  if (width == 0) {
    return text;
  }
  constexpr std::size_t frame = 4;
  if (total && *total != 0 && width > text.size() + frame + 8) {
    const std::size_t room = std::min<std::size_t>(40, width - text.size() - frame);
    const std::size_t full = room * done / *total;
    text = fmt::format("[{}{}]  {}", std::string(full, '#'), std::string(room - full, '-'), text);
  }
  return text.substr(0, width);
}

// Where the user types the items, a bar would mix with them.
progress::progress(const asio::any_io_executor& executor, const options& chosen,
                   const ending& so_far, output& to,
                   std::function<std::optional<std::size_t>()> total)
    : ticks_(executor), so_far_(so_far), to_(to), total_(std::move(total)),
      has_bar_(!chosen.quiet && !chosen.dry_run &&
               (chosen.bar || (is_terminal(2) && !(chosen.inputs.empty() && is_terminal(0))))),
      has_lines_(chosen.eta && !has_bar_ && !chosen.dry_run) {}

void progress::start() {
  if (!has_bar_ && !has_lines_) {
    return;
  }
  ticks_.expires_after(has_bar_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10));
  ticks_.async_wait([this](subproc::error_code ec) {
    if (!ec && !stopped_) {
      if (to_.empty()) { // else its reader is slow, and many bars would wait
        has_bar_ ? draw() : tell_time_left();
      }
      start();
    }
  });
}

void progress::stop() {
  stopped_ = true;
  ticks_.cancel();
  clear();
}

void progress::job_ended() {
  if (has_lines_ && so_far_.done == 1) {
    tell_time_left();
  }
}

void progress::clear() {
  if (std::exchange(drawn_, false)) {
    to_.tell("\r\033[K");
  }
}

void progress::draw() {
  to_.tell("\r\033[K" + line(std::max<std::size_t>(terminal_width(2), 2) - 1));
  drawn_ = true;
}

void progress::tell_time_left() { to_.tell("fanout: " + line(0) + '\n'); }

std::string progress::line(std::size_t width) const {
  return progress_line(so_far_.done, so_far_.failed, total_(), so_far_.elapsed(), width);
}

} // namespace fanout
