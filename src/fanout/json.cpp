#include "json.hpp"

#include <nlohmann/json.hpp>

namespace fanout {
namespace {

using json = nlohmann::ordered_json;

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

double seconds(std::chrono::duration<double> time) { return time.count(); }

json outcome(const job_report& job) {
  const subproc::completed_process& done = job.result.process;
  json told = {{"job", job.number},
               {"slot", job.slot},
               {"tries", job.result.tries},
               {"ok", job.result.ok()}};
  told["exit"] = done.status.exit_code() ? json(*done.status.exit_code()) : json();
  told["signal"] = done.status.signal() ? json(*done.status.signal()) : json();
  told["timed_out"] = done.timed_out;
  if (!job.reason.empty()) {
    told["reason"] = job.reason;
  }
  return told;
}

} // namespace

std::string json_line(const job_report& job) {
  const subproc::completed_process& done = job.result.process;
  json told = outcome(job);
  told["items"] = job.columns;
  told["args"] = done.cmd.args();
  told["start"] = seconds(done.start_time.time_since_epoch());
  told["seconds"] = seconds(done.elapsed);
  told["user_seconds"] = seconds(done.usage.user_time);
  told["system_seconds"] = seconds(done.usage.system_time);
  told["max_resident_bytes"] = done.usage.max_resident_bytes;
  told["stdout"] = done.out;
  told["stderr"] = done.err;
  return text_of(told) + '\n';
}

std::string trace_event(const job_report& job, std::chrono::system_clock::time_point origin) {
  const subproc::completed_process& done = job.result.process;
  const auto micros = [](auto time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  };
  return text_of({{"name", to_string(done.cmd)},
                  {"cat", job.result.ok() ? "ok" : "failed"},
                  {"ph", "X"},
                  {"ts", micros(done.start_time - origin)},
                  {"dur", micros(done.elapsed)},
                  {"pid", 1},
                  {"tid", job.slot},
                  {"args", outcome(job)}});
}

} // namespace fanout
