#include "records.hpp"

#include "console.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace fanout {

void records::open(std::chrono::system_clock::time_point began) {
  began_ = began;
  if (!options_.joblog.empty()) {
    joblog_.emplace(options_.joblog, options_.resume_failed ? joblog::use::resume_failed
                                     : options_.resume      ? joblog::use::resume
                                                            : joblog::use::anew);
    names_[joblog_->descriptor()] = options_.joblog;
  }
  json_ = options_.json == "-" ? 1 : create(options_.json);
  trace_ = create(options_.trace);
  if (!options_.report.empty()) {
    report_file_.emplace(options_.report);
    report_.emplace(began);
  }
  if (!options_.junit.empty()) {
    junit_.emplace(options_.junit, began);
  }
}

int records::create(const std::string& path) {
  if (path.empty()) {
    return -1;
  }
  const int descriptor = open_file(path, file_use::create);
  if (descriptor < 0) {
    throw std::system_error(errno, std::generic_category(), "'" + path + "'");
  }
  names_[descriptor] = path;
  return descriptor;
}

void records::add(const job_report& told, bool stopped) {
  if (json_ >= 0) {
    to_.put(json_, json_line(told));
  }
  if (trace_ >= 0) {
    to_.put(trace_, (std::exchange(traced_, true) ? ",\n" : "[\n") + trace_event(told, began_));
  }
  if (joblog_ && !stopped) {
    log_line_ = joblog::line(told.result, told.number);
  }
  if (!options_.results.empty()) {
    keep(told);
  }
  if (report_) {
    report_->add(told, stopped);
  }
  if (junit_) {
    junit_->add(told, stopped);
  }
}

void records::log() {
  if (joblog_) {
    to_.put(joblog_->descriptor(), std::exchange(log_line_, {}));
  }
}

// RESULTS/12/stdout and stderr.
void records::keep(const job_report& told) const {
  const auto path = [](const std::string& text) { // UTF-8
    return std::filesystem::path(std::u8string(text.begin(), text.end()));
  };
  const std::string folder = options_.results + '/' + std::to_string(told.number);
  const auto failed = [](const std::error_code& why, const std::string& what) {
    return std::system_error(why, "cannot keep results in '" + what + "'");
  };
  std::error_code ec;
  std::filesystem::create_directories(path(folder), ec);
  if (ec) {
    throw failed(ec, folder);
  }
  for (const auto& [name, text] : {std::pair("/stdout", &told.result.process.out),
                                   std::pair("/stderr", &told.result.process.err)}) {
    std::ofstream to(path(folder + name), std::ios::binary);
    to << *text;
    to.close();
    if (!to) {
      throw failed(std::error_code(errno, std::generic_category()), folder + name);
    }
  }
}

// The two reports not behind an output that may stall.
void records::finish(const report_end& end) {
  if (trace_ >= 0) {
    to_.put(trace_, traced_ ? "\n]\n" : "[]\n");
  }
  if (junit_) {
    junit_->finish(end.elapsed);
  }
  if (report_) {
    report_file_->write(report_->page(end));
    report_file_->finish();
  }
}

void records::drop() {
  report_file_.reset();
  junit_.reset();
}

std::string records::name_of(int descriptor) const {
  const auto found = names_.find(descriptor);
  return found == names_.end() ? "" : found->second;
}

} // namespace fanout
