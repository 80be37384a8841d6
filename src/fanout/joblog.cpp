#include "joblog.hpp"

#include "console.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace fanout {
namespace {

constexpr std::string_view columns =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
constexpr std::size_t before_command = 8;

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                               : std::nullopt;
}

struct entry {
  std::uint64_t job;
  bool good;
  std::string_view command;
};

std::optional<entry> read_line(std::string_view line) {
  std::array<std::string_view, before_command> words;
  for (std::string_view& word : words) {
    const std::size_t tab = line.find('\t');
    if (tab == line.npos) {
      return std::nullopt;
    }
    word = line.substr(0, tab);
    line.remove_prefix(tab + 1);
  }
  const auto job = number<std::uint64_t>(words[0]);
  const auto code = number<long long>(words[6]);
  const auto signal = number<int>(words[7]);
  if (!job || !code || !signal) {
    return std::nullopt;
  }
  return entry{*job, *code == 0 && *signal == 0, line};
}

} // namespace

joblog::joblog(const std::string& path, use how) : path_(path) {
  if (how != use::anew) {
    read(how);
  }
  descriptor_ = open_file(path, how == use::anew ? file_use::create : file_use::append);
  if (descriptor_ < 0) {
    throw std::system_error(errno, std::generic_category(), "joblog '" + path + "'");
  }
  std::error_code ec;
  if (how == use::anew || std::filesystem::file_size(path, ec) == 0) {
    if (const int error = write_all(descriptor_, std::string(columns) + '\n')) {
      throw std::system_error(error, std::generic_category(), "joblog '" + path + "'");
    }
  }
}

joblog::~joblog() {
  if (descriptor_ >= 0) {
    close_file(descriptor_);
  }
}

void joblog::read(use how) {
  std::ifstream from(path_, std::ios::binary);
  std::string line;
  std::uintmax_t whole = 0; // bytes in lines that have their ends
  for (std::size_t at = 1; std::getline(from, line); ++at) {
    if (from.eof()) {
      std::filesystem::resize_file(path_, whole);
      return;
    }
    whole += line.size() + 1;
    const auto found = read_line(line);
    if (at == 1 ? line != columns : !found) {
      throw std::invalid_argument(fmt::format(
          "joblog '{}' cannot be gone on with: line {} is none of a job log", path_, at));
    }
    if (at == 1) {
      continue;
    }
    if (how == use::resume || found->good) {
      done_[found->job] = std::hash<std::string_view>()(found->command);
    } else {
      done_.erase(found->job);
    }
  }
}

bool joblog::has(std::uint64_t job, const std::string& text) const {
  const auto found = done_.find(job);
  if (found == done_.end()) {
    return false;
  }
  if (!text.empty() && found->second != std::hash<std::string_view>()(one_line(text))) {
    throw std::invalid_argument(
        fmt::format("joblog '{}' is that of other jobs: its job {} was not {}", path_, job, text));
  }
  return true;
}

// A newline is written as NUL, as GNU parallel does: one line a job.
std::string joblog::one_line(std::string text) {
  std::ranges::replace(text, '\n', '\0');
  return text;
}

std::string joblog::line(const subproc::pool_result& job, std::uint64_t number) {
  const subproc::completed_process& done = job.process;
  const double start = std::chrono::duration<double>(done.start_time.time_since_epoch()).count();
  const double seconds = std::chrono::duration<double>(done.elapsed).count();
  // -1 without an exit code: killed, timed out or not started. (GNU parallel: 0, -1 and 127.)
  return fmt::format("{}\t:\t{:.3f}\t{:10.3f}\t0\t{}\t{}\t{}\t{}\n", number, start, seconds,
                     done.out.size() + done.out_dropped, done.status.exit_code().value_or(-1),
                     done.status.signal().value_or(0), one_line(to_string(done.cmd)));
}

} // namespace fanout
