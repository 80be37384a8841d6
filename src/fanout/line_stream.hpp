#pragma once

#include <subproc/launcher.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/readable_pipe.hpp>

#include <array>
#include <functional>
#include <memory>
#include <string>

namespace fanout {

/// One output of a job, passed on line by line while the job runs. Of a line in the making it holds
/// up to a MiB; a longer one is passed on in pieces.
class line_stream : public std::enable_shared_from_this<line_stream> {
public:
  /// Takes whole lines, but for pieces of one that is too long.
  using sink = std::function<void(std::string lines)>;
  /// Whether this one may read more; if not, resume() follows.
  using gate = std::function<bool(const std::shared_ptr<line_stream>& which)>;

  /// Each line begins with `tag`. Throws std::system_error.
  line_stream(const asio::any_io_executor& executor, std::string tag, sink to, gate open);
  line_stream(const line_stream&) = delete;
  line_stream& operator=(const line_stream&) = delete;

  void start();
  void resume() { read(); }

  /// Where the output is to be written.
  subproc::native_handle_type writer() const noexcept { return writer_.get(); }

  /// Nothing more is written; `ended` is called when all has been passed on, the last line with an
  /// end of its own.
  void finish(std::function<void()> ended);

private:
  void read();
  void take(std::size_t size);

  asio::readable_pipe reader_;
  subproc::unique_handle writer_; ///< none of the loop's: Windows would tell it of writes
  std::string tag_;
  sink to_;
  gate open_;
  std::function<void()> ended_;
  std::array<char, 16 * 1024> buffer_{};
  std::string line_; ///< its beginning
  bool in_line_ = false;
  bool at_end_ = false;
};

} // namespace fanout
