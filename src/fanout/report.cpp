#include "report.hpp"

#include "markup.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

namespace fanout {
namespace {

constexpr std::size_t most_slowest = 25;
constexpr std::size_t most_failed = 100;
constexpr std::size_t most_command = 1024;
constexpr std::size_t most_lanes = 64;
constexpr std::size_t most_bars = 2000;
constexpr std::size_t most_title = 120;

constexpr double chart_width = 1000;
constexpr double label_width = 40;
constexpr double lane_height = 16;

constexpr std::string_view head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="fanout">
<meta name="color-scheme" content="light dark">
)";

constexpr std::string_view style = R"(<style>
:root { color-scheme: light dark; --back: #fff; --text: #1c1d20; --soft: #565a63; --line: #d5d8de;
  --ok: #2f6db3; --bad: #b3261e; --other: #75797f; --band: #f3f4f7; }
@media (prefers-color-scheme: dark) { :root { --back: #17181b; --text: #e9eaed; --soft: #a9adb6;
  --line: #3b3e45; --ok: #7db0ea; --bad: #ff8a80; --other: #989da6; --band: #222429; } }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui,
  sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
a { color: var(--ok); } nav ul { display: flex; flex-wrap: wrap; gap: 1rem; list-style: none;
  padding: 0; }
:focus-visible { outline: 3px solid var(--ok); outline-offset: 2px; }
.scroll { overflow-x: auto; } .note { color: var(--soft); margin: .3rem 0; }
.alarm { border-left: .3rem solid var(--bad); padding-left: .7rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
dl div { background: var(--band); border-radius: .4rem; padding: .5rem .8rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.15rem;
  font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft);
  padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid
  var(--line); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: .85rem/1.4 ui-monospace, monospace; } td code { overflow-wrap: anywhere; }
pre { background: var(--band); border-radius: .3rem; padding: .5rem; margin: .3rem 0; max-height:
  20rem; overflow: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; } svg { display: block; min-width: 40rem; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 10px ui-monospace, monospace; } svg line { stroke:
  var(--line); }
.ok { fill: var(--ok); stroke: var(--back); stroke-width: .4; } .bad { fill: url(#hatch); stroke:
  var(--bad); stroke-width: 1.2; }
.some { fill: var(--ok); stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 3 1.5; }
.off { fill: none; stroke: var(--other); stroke-dasharray: 2 2; }
.stripe { stroke: var(--bad) !important; stroke-width: 2.2; }
.key svg { display: inline-block; min-width: 0; width: 1.6rem; vertical-align: middle; margin: 0
  .3rem 0 .8rem; }
svg.defs { position: absolute; min-width: 0; width: 0; height: 0; }
.bar { width: 45%; } .bar svg { min-width: 0; height: 1rem; }
</style>
)";

constexpr std::string_view hatch =
    "<svg class=\"defs\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"5\" height=\"5\" "
    "patternUnits=\"userSpaceOnUse\" "
    "patternTransform=\"rotate(45)\"><line class=\"stripe\" x1=\"1\" y1=\"0\" x2=\"1\" "
    "y2=\"5\"/></pattern></defs></svg>\n";

// What the picture says by colour it says by shape too.
constexpr std::string_view key = R"(<p class="note key" aria-hidden="true">
<svg viewBox="0 0 24 14"><rect class="ok" x="1" y="3" width="22" height="8"/></svg>ended well
<svg viewBox="0 0 24 14"><rect class="bad" x="1" y="1" width="22" height="12"/></svg>failed
<svg viewBox="0 0 24 14"><rect class="some" x="1" y="2" width="22" height="10"/></svg>several
jobs, some of them failed
<svg viewBox="0 0 24 14"><rect class="off" x="1" y="3" width="22" height="8"/></svg>stopped with
fanout</p>
)";

std::string time_text(double seconds) {
  if (seconds < 1) {
    return fmt::format("{:.3g} ms", seconds * 1000);
  }
  if (seconds < 120) {
    return fmt::format("{:.3g} s", seconds);
  }
  const auto whole = std::llround(seconds);
  return seconds < 7200 ? fmt::format("{}:{:02} min", whole / 60, whole % 60)
                        : fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

std::string size_text(std::uint64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) {
    value /= 1024;
  }
  return fmt::format("{:.{}f} {}", value, value < 10 && unit != 0 ? 1 : 0, units[unit]);
}

// `dropped` bytes of it were never kept.
std::string cut(std::string_view text, std::size_t most, std::uint64_t dropped = 0) {
  const std::string_view kept = head_of(text, most);
  const std::uint64_t more = text.size() - kept.size() + dropped;
  return more == 0 ? std::string(text) : fmt::format("{}… ({} bytes more)", kept, more);
}

// 1, 2 and 5 of each power of ten, from 100 microseconds on: bin 0 is what is below.
double bin_end(std::size_t bin) {
  constexpr double steps[] = {1, 2, 5};
  const int power = static_cast<int>(bin / 3) - 4;
  return steps[bin % 3] * std::pow(10, power);
}

std::size_t bin_of(double seconds, std::size_t bins) {
  std::size_t bin = 0;
  while (bin + 1 < bins && seconds >= bin_end(bin)) {
    ++bin;
  }
  return bin;
}

std::string status_text(const job_report& job, bool stopped) {
  const subproc::completed_process& done = job.result.process;
  if (stopped) {
    return "stopped with fanout";
  }
  switch (job.result.why()) {
  case subproc::failure_kind::spawn:
    return "could not start: " + job.reason;
  case subproc::failure_kind::timeout:
    return "timed out";
  case subproc::failure_kind::output:
    return "wrote too much";
  default:
    return to_string(done.status);
  }
}

std::string figure(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
}

// A round step with which there are five to ten of them.
double tick_step(double seconds) {
  const double power = std::pow(10, std::floor(std::log10(seconds / 5)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (seconds / (step * power) <= 10) {
      return step * power;
    }
  }
  return 10 * power;
}

} // namespace

void report::add(const job_report& job, bool stopped) {
  const subproc::completed_process& done = job.result.process;
  const double seconds = std::chrono::duration<double>(done.elapsed).count();
  const bool failed = !stopped && !job.result.ok();
  ++jobs_;
  failed_ += failed ? 1 : 0;
  stopped_ += stopped ? 1 : 0;
  again_ += job.result.tries > 1 ? job.result.tries - 1 : 0;
  most_memory_ = std::max(most_memory_, done.usage.max_resident_bytes);
  longest_ = std::max(longest_, seconds);
  processor_time_ += done.usage.user_time + done.usage.system_time;
  if (job.result.why() != subproc::failure_kind::spawn) { // which ran at no time
    bin& of = bins_[bin_of(seconds, bins_.size())];
    ++of.jobs;
    of.failed += failed ? 1 : 0;
    draw(job, stopped);
  }

  const bool slow = slowest_.size() < most_slowest || seconds > slowest_.front().seconds;
  const bool early = failed && first_failed_.size() < most_failed;
  if (!slow && !early) {
    return;
  }
  row told{job.number,
           job.slot,
           cut(to_string(done.cmd), most_command),
           status_text(job, stopped),
           job.result.tries,
           seconds,
           done.usage.max_resident_bytes,
           cut(done.out, most_output, done.out_dropped),
           cut(done.err, most_output, done.err_dropped)};
  if (early) {
    first_failed_.push_back(told);
  }
  if (slow) {
    const auto slower = [](const row& a, const row& b) { return a.seconds > b.seconds; };
    if (slowest_.size() == most_slowest) {
      std::ranges::pop_heap(slowest_, slower);
      slowest_.pop_back();
    }
    slowest_.push_back(std::move(told));
    std::ranges::push_heap(slowest_, slower);
  }
}

void report::draw(const job_report& job, bool stopped) {
  const subproc::completed_process& done = job.result.process;
  if (job.slot == 0 || job.slot > most_lanes) {
    ++not_drawn_;
    return;
  }
  const double from = std::chrono::duration<double>(done.start_time - began_).count();
  const double to = from + std::chrono::duration<double>(done.elapsed).count();
  const bool failed = !stopped && !job.result.ok();
  lanes_.resize(std::max(lanes_.size(), job.slot));
  lane& of = lanes_[job.slot - 1];
  ++of.jobs;
  of.failed += failed ? 1 : 0;
  of.busy += to - from;
  if (!of.bars.empty() &&
      std::max(to, of.bars.back().to) - std::min(from, of.bars.back().from) <= joined_within_) {
    bar& last = of.bars.back();
    last.from = std::min(from, last.from);
    last.to = std::max(to, last.to);
    ++last.jobs;
    last.failed += failed ? 1 : 0;
    last.stopped += stopped ? 1 : 0;
    return;
  }
  of.bars.push_back({from, to, job.number, 1, failed ? 1U : 0U, stopped ? 1U : 0U,
                     cut(to_string(done.cmd), most_title)});
  ++bars_;
  while (bars_ > most_bars) {
    join_bars();
  }
}

void report::join_bars() {
  double end = 0;
  for (const lane& each : lanes_) {
    for (const bar& one : each.bars) {
      end = std::max(end, one.to);
    }
  }
  joined_within_ = std::max(joined_within_ * 2, end / chart_width);
  bars_ = 0;
  for (lane& each : lanes_) {
    std::ranges::sort(each.bars, {}, &bar::from);
    std::vector<bar> kept;
    for (bar& next : each.bars) {
      if (!kept.empty() && std::max(kept.back().to, next.to) - kept.back().from <= joined_within_) {
        bar& last = kept.back();
        last.to = std::max(last.to, next.to);
        last.jobs += next.jobs;
        last.failed += next.failed;
        last.stopped += next.stopped;
        last.command.clear();
      } else {
        kept.push_back(std::move(next));
      }
    }
    each.bars = std::move(kept);
    bars_ += each.bars.size();
  }
}

std::string report::summary(const report_end& end) const {
  const double seconds = end.elapsed.count();
  std::string text = "<h2 id=\"summary\">Summary</h2>\n<dl>\n";
  text += figure("Jobs", std::to_string(jobs_));
  text += figure("Ended well", std::to_string(jobs_ - failed_ - stopped_));
  text += figure("Failed", std::to_string(failed_));
  if (stopped_ != 0) {
    text += figure("Stopped with fanout", std::to_string(stopped_));
  }
  if (again_ != 0) {
    text += figure("Tries after the first", std::to_string(again_));
  }
  text += figure("Wall time", time_text(seconds));
  const double rate = static_cast<double>(jobs_) / std::max(seconds, 1e-9);
  text += figure("Jobs a second", fmt::format("{:.{}f}", rate, rate < 10 ? 2 : 0));
  text += figure("Longest job", time_text(longest_));
  text +=
      figure("Processor time", time_text(std::chrono::duration<double>(processor_time_).count()));
  text += figure("Highest peak memory", size_text(most_memory_));
  text += figure("Exit code", std::to_string(end.exit_code));
  text +=
      figure("Began (UTC)",
             fmt::format("{:%F %T}", fmt::gmtime(std::chrono::system_clock::to_time_t(end.began))));
  return text + "</dl>\n";
}

std::string report::timeline(double seconds) const {
  std::string text = "<h2 id=\"timeline\">Timeline of the slots</h2>\n";
  if (bars_ == 0) {
    return text + "<p>No job ran.</p>\n";
  }
  for (const lane& each : lanes_) {
    for (const bar& one : each.bars) {
      seconds = std::max(seconds, one.to);
    }
  }
  const double scale = (chart_width - label_width - 10) / std::max(seconds, 1e-6);
  const double bottom = lane_height * static_cast<double>(lanes_.size());
  text += key;
  text += fmt::format(
      "<div class=\"scroll\" role=\"region\" aria-label=\"Timeline\" tabindex=\"0\">\n"
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"Which slot ran a job when; "
      "the table below has the same by slot.\">\n",
      chart_width, bottom + 18);
  const double step = tick_step(std::max(seconds, 1e-6));
  for (int i = 0; i * step <= seconds; ++i) {
    const double x = label_width + i * step * scale;
    text += fmt::format("<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1:.0f}\"/>"
                        "<text x=\"{0:.1f}\" y=\"{2:.0f}\" text-anchor=\"middle\">{3}</text>\n",
                        x, bottom + 3, bottom + 14, i == 0 ? "0" : time_text(i * step));
  }
  for (std::size_t slot = 0; slot < lanes_.size(); ++slot) {
    const double y = lane_height * static_cast<double>(slot);
    text += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"end\">{}</text>\n",
                        label_width - 8, y + 12, slot + 1);
    for (const bar& one : lanes_[slot].bars) {
      const bool bad = one.failed == one.jobs;
      const bool off = one.stopped == one.jobs;
      const char* kind = bad ? "bad" : off ? "off" : one.failed != 0 ? "some" : "ok";
      const double height = bad ? 12 : one.failed != 0 ? 10 : 8;
      const std::string what = one.jobs == 1
                                   ? fmt::format("job {}: {}", one.first, markup(one.command))
                                   : fmt::format("{} jobs from about {} on", one.jobs, one.first);
      const std::string ended = off                    ? "stopped"
                                : one.jobs == 1 && bad ? "failed"
                                : one.failed + one.stopped == 0
                                    ? "well"
                                    : fmt::format("{} failed", one.failed);
      text += fmt::format("<rect class=\"{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
                          "height=\"{:.0f}\"><title>{} ({}, {})</title></rect>\n",
                          kind, label_width + one.from * scale, y + (lane_height - height) / 2,
                          std::max((one.to - one.from) * scale, 0.7), height, what,
                          time_text(one.to - one.from), ended);
    }
  }
  text += "</svg>\n</div>\n";
  if (joined_within_ > 0) {
    text += fmt::format("<p class=\"note\">There were more jobs than can be drawn: neighbours on a "
                        "slot that together took no more than {} are one bar.</p>\n",
                        time_text(joined_within_));
  }
  if (not_drawn_ != 0) {
    text += fmt::format("<p class=\"note\">{} jobs are not drawn: the timeline has the first {} "
                        "slots.</p>\n",
                        not_drawn_, most_lanes);
  }
  text +=
      "<details><summary>The same by slot, as a table</summary>\n<table><caption>What each "
      "slot ran</caption><thead><tr><th scope=\"col\" class=\"n\">Slot</th><th scope=\"col\" "
      "class=\"n\">Jobs</th><th scope=\"col\" class=\"n\">Failed</th><th scope=\"col\" "
      "class=\"n\">Busy</th><th scope=\"col\" class=\"n\">Of the time</th></tr></thead><tbody>\n";
  for (std::size_t slot = 0; slot < lanes_.size(); ++slot) {
    const lane& each = lanes_[slot];
    text += fmt::format(
        "<tr><th scope=\"row\" class=\"n\">{}</th><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.0f} %</td></tr>\n",
        slot + 1, each.jobs, each.failed, time_text(each.busy),
        100 * each.busy / std::max(seconds, 1e-6));
  }
  return text + "</tbody></table></details>\n";
}

std::string report::histogram() const {
  std::size_t first = bins_.size();
  std::size_t last = 0;
  std::uint64_t most = 1;
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    if (bins_[i].jobs != 0) {
      first = std::min(first, i);
      last = i;
      most = std::max(most, bins_[i].jobs);
    }
  }
  std::string text = "<h2 id=\"times\">Run times</h2>\n";
  if (first == bins_.size()) {
    return text + "<p>No job ran.</p>\n";
  }
  text +=
      "<table><caption>How many jobs took how long (of each job its last try); the hatched part "
      "failed</caption><thead><tr><th scope=\"col\">Run time</th><th scope=\"col\" class=\"n\">"
      "Jobs</th><th scope=\"col\" class=\"n\">Failed</th><td class=\"bar\"></td></tr></thead>"
      "<tbody>\n";
  for (std::size_t i = first; i <= last; ++i) {
    const std::string range = i == 0 ? "below " + time_text(bin_end(0))
                              : i + 1 == bins_.size()
                                  ? "from " + time_text(bin_end(i - 1)) + " on"
                                  : time_text(bin_end(i - 1)) + " to " + time_text(bin_end(i));
    const auto width = [&](std::uint64_t jobs) {
      return 400 * static_cast<double>(jobs) / static_cast<double>(most);
    };
    const double well = width(bins_[i].jobs - bins_[i].failed);
    const double bad = width(bins_[i].failed);
    text +=
        fmt::format("<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>"
                    "<td class=\"bar\"><svg viewBox=\"0 0 402 14\" preserveAspectRatio=\"none\" "
                    "aria-hidden=\"true\"><rect class=\"ok\" y=\"2\" width=\"{:.1f}\" "
                    "height=\"10\"/>",
                    range, bins_[i].jobs, bins_[i].failed, well);
    if (bad > 0) {
      text += fmt::format("<rect class=\"bad\" x=\"{:.1f}\" y=\"1\" width=\"{:.1f}\" "
                          "height=\"12\"/>",
                          well, bad);
    }
    text += "</svg></td></tr>\n";
  }
  return text + "</tbody></table>\n";
}

std::string report::table(const char* id, const std::string& caption,
                          const std::vector<const row*>& rows) {
  std::string text = fmt::format(
      "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{0}-caption\" "
      "tabindex=\"0\">\n<table>"
      "<caption id=\"{0}-caption\">{1}</caption><thead><tr><th scope=\"col\" class=\"n\">Job</th>"
      "<th scope=\"col\">Command and output</th><th scope=\"col\">Status</th><th scope=\"col\" "
      "class=\"n\">Tries</th><th scope=\"col\" class=\"n\">Slot</th><th scope=\"col\" "
      "class=\"n\">Run time</th><th scope=\"col\" class=\"n\">Peak "
      "memory</th></tr></thead><tbody>\n",
      id, caption);
  for (const row* each : rows) {
    text += fmt::format("<tr><th scope=\"row\" class=\"n\">{}</th><td><code>{}</code>",
                        each->number, markup(each->command));
    for (const auto& [name, output] :
         {std::pair("stdout", &each->out), std::pair("stderr", &each->err)}) {
      if (!output->empty()) {
        text +=
            fmt::format("<details><summary>{0}</summary><pre tabindex=\"0\" aria-label=\"{0} of "
                        "job {1}\">{2}</pre></details>",
                        name, each->number, markup(*output));
      }
    }
    text += fmt::format("</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
                        "class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                        markup(each->status), each->tries, each->slot, time_text(each->seconds),
                        each->memory != 0 ? size_text(each->memory) : "–");
  }
  return text + "</tbody></table>\n</div>\n";
}

std::string report::page(const report_end& end) const {
  const std::string title = markup(cut(end.title, most_command));
  std::string text(head);
  text += fmt::format("<title>fanout: {} jobs, {} failed</title>\n", jobs_, failed_);
  text += style;
  text += fmt::format("</head>\n<body>\n{}<main>\n<h1>fanout <code>{}</code></h1>\n", hatch, title);
  if (!end.note.empty()) {
    text += fmt::format("<p class=\"alarm\">{}</p>\n", markup(end.note));
  }
  text +=
      "<nav aria-label=\"Parts of this page\"><ul><li><a href=\"#summary\">Summary</a></li><li>"
      "<a href=\"#timeline\">Timeline</a></li><li><a href=\"#times\">Run times</a></li><li>"
      "<a href=\"#failed\">Failed</a></li><li><a href=\"#slowest\">Slowest</a></li></ul></nav>\n";
  text += summary(end);

  text += timeline(end.elapsed.count()) + histogram();

  text += "<h2 id=\"failed\">Failed jobs</h2>\n";
  std::vector<const row*> rows;
  for (const row& each : first_failed_) {
    rows.push_back(&each);
  }
  text += rows.empty() ? "<p>None.</p>\n"
                       : table("failed",
                               failed_ > rows.size()
                                   ? fmt::format("The first {} of {}", rows.size(), failed_)
                                   : fmt::format("All {}", failed_),
                               rows);

  text += "<h2 id=\"slowest\">Slowest jobs</h2>\n";
  rows.clear();
  for (const row& each : slowest_) {
    rows.push_back(&each);
  }
  std::ranges::sort(rows, [](const row* a, const row* b) { return a->seconds > b->seconds; });
  text +=
      rows.empty()
          ? "<p>None.</p>\n"
          : table("slowest",
                  fmt::format("The {} that ran longest, each in its last try", rows.size()), rows);
  return text + "</main>\n</body>\n</html>\n";
}

} // namespace fanout
