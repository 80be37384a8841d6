#include "junit.hpp"

#include "markup.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <string_view>

namespace fanout {
namespace {

// The counts have as many places as they may need.
constexpr int widest_count = 20;

std::string output_element(const char* name, std::string_view text) {
  return text.empty() ? "" : fmt::format("    <{0}>{1}</{0}>\n", name, markup(text));
}

} // namespace

junit::junit(const std::string& path, std::chrono::system_clock::time_point began)
    : file_(path), began_(began) {
  file_.write(start(0));
}

std::string junit::start(double seconds) const {
  const auto count = [](const char* name, std::uint64_t value) {
    const std::string text = fmt::format("{}=\"{}\"", name, value);
    return text + std::string(static_cast<std::size_t>(widest_count) + 12 - text.size(), ' ');
  };
  const std::string time = fmt::format("time=\"{:.3f}\"", seconds);
  return fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
                     "<testsuite name=\"fanout\" {}{}{}{}{:32}timestamp=\"{:%FT%T}Z\">\n",
                     count("tests", tests_), count("failures", failures_), count("errors", errors_),
                     count("skipped", skipped_), time,
                     fmt::gmtime(std::chrono::system_clock::to_time_t(began_)));
}

void junit::add(const job_report& job, bool stopped) {
  const subproc::completed_process& done = job.result.process;
  ++tests_;
  std::string text =
      fmt::format("  <testcase classname=\"fanout\" name=\"{}: {}\" time=\"{:.3f}\">\n", job.number,
                  markup(to_string(done.cmd)), std::chrono::duration<double>(done.elapsed).count());
  if (stopped) {
    ++skipped_;
    text += "    <skipped message=\"stopped with fanout\"/>\n";
  } else if (!job.result.ok()) {
    const bool started = job.result.why() != subproc::failure_kind::spawn;
    ++(started ? failures_ : errors_);
    text += fmt::format("    <{} message=\"{}\"/>\n", started ? "failure" : "error",
                        markup(job.reason));
  }
  text += output_element("system-out", done.out);
  text += output_element("system-err", done.err);
  file_.write(text + "  </testcase>\n");
}

void junit::finish(std::chrono::duration<double> elapsed) {
  file_.write("</testsuite>\n</testsuites>\n");
  file_.finish(start(elapsed.count()));
}

} // namespace fanout
