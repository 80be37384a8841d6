#include "progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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

} // namespace fanout
