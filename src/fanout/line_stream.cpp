#include "line_stream.hpp"

#include "console.hpp"

#include <subproc/error.hpp>

#include <asio/buffer.hpp>

#include <cstddef>
#include <string_view>
#include <utility>

namespace fanout {
namespace {

constexpr std::size_t longest_line = 1 << 20;

} // namespace

line_stream::line_stream(const asio::any_io_executor& executor, std::string tag, sink to, gate open)
    : reader_(executor), tag_(std::move(tag)), to_(std::move(to)), open_(std::move(open)) {
  pipe_ends ends = make_pipe();
  reader_.assign(ends.reader.get());
  static_cast<void>(ends.reader.release()); // the loop's now
  writer_ = std::move(ends.writer);
}

void line_stream::start() { read(); }

void line_stream::finish(std::function<void()> ended) {
  ended_ = std::move(ended);
  writer_.reset();
  if (at_end_ && ended_) {
    std::exchange(ended_, nullptr)();
  }
}

void line_stream::read() {
  if (!open_(shared_from_this())) {
    return;
  }
  reader_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](subproc::error_code ec, std::size_t size) {
                            self->take(size);
                            if (!ec) {
                              self->read();
                              return;
                            }
                            self->at_end_ = true;
                            if (self->in_line_) {
                              self->to_(std::move(self->line_) + '\n');
                            }
                            if (self->ended_) {
                              std::exchange(self->ended_, nullptr)();
                            }
                          });
}

void line_stream::take(std::size_t size) {
  std::string_view text(buffer_.data(), size);
  std::string whole;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (!std::exchange(in_line_, true)) {
      line_ += tag_;
    }
    line_ += text.substr(0, end == text.npos ? end : end + 1);
    if (end != text.npos || line_.size() >= longest_line) {
      whole += std::exchange(line_, {});
      in_line_ = end == text.npos;
    }
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  if (!whole.empty()) {
    to_(std::move(whole));
  }
}

} // namespace fanout
