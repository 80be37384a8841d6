#include "job_outputs.hpp"

#include "console.hpp"
#include "report.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace fanout {
namespace {

constexpr std::size_t default_max_output = 64 << 20;

std::string tag_of(const job& of) {
  std::string tag = joined(of.columns);
  std::ranges::replace(tag, '\n', ' ');
  return tag + '\t';
}

std::string tagged(const job& of, const std::string& text) {
  const std::string tag = tag_of(of);
  std::string all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    (all += tag).append(text, at, end - at);
    at = end;
  }
  return all;
}

} // namespace

job_outputs::job_outputs(const asio::any_io_executor& executor, const options& chosen, output& to,
                         progress& bar)
    : executor_(executor), options_(chosen), to_(to), bar_(bar), stdout_shows_(is_terminal(1)) {}

void job_outputs::redirect(subproc::command& cmd, job& of) {
  if (options_.ungrouped) {
    cmd.out(subproc::inherit).err(subproc::inherit);
    return;
  }
  cmd.out(subproc::piped).err(subproc::piped);
  if (by_line()) {
    if (!of.out) { // all tries of a job have the same
      of.out = stream_to(1, of);
      of.err = stream_to(2, of);
    }
    cmd.out(subproc::tee(subproc::fd(of.out->writer())));
    cmd.err(subproc::tee(subproc::fd(of.err->writer())));
  }
  const bool kept = !by_line() || options_.max_output || !options_.json.empty() ||
                    !options_.results.empty() || !options_.junit.empty();
  if (!kept) {
    cmd.limit(options_.report.empty() ? 1 : report::most_output, subproc::overflow::head);
  } else if (const std::size_t most = options_.max_output.value_or(default_max_output)) {
    cmd.limit(most);
  }
}

std::shared_ptr<line_stream> job_outputs::stream_to(int descriptor, const job& of) {
  auto stream = std::make_shared<line_stream>(
      executor_, options_.tag ? tag_of(of) : "",
      [this, descriptor](std::string lines) {
        bar_.aside(descriptor == 2 || stdout_shows_,
                   [&] { to_.put(descriptor, std::move(lines)); });
      },
      [this](const std::shared_ptr<line_stream>& which) {
        if (!to_.full()) {
          return true;
        }
        held_.push_back(which);
        return false;
      });
  stream->start();
  return stream;
}

void job_outputs::resume() {
  for (const auto& each : std::exchange(held_, {})) {
    each->resume();
  }
}

bool job_outputs::shows(const subproc::completed_process& done) const {
  return !done.err.empty() || (stdout_shows_ && !done.out.empty());
}

void job_outputs::pass_on(const job& of, subproc::completed_process done) {
  if (options_.json == "-" || of.out) {
    return;
  }
  to_.put(1, options_.tag ? tagged(of, done.out) : std::move(done.out));
  to_.put(2, options_.tag ? tagged(of, done.err) : std::move(done.err));
}

} // namespace fanout
