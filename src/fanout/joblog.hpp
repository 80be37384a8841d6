#pragma once

#include <subproc/pool.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace fanout {

/// A line for each job that has ended, in the columns of GNU parallel's --joblog.
class joblog {
public:
  /// Throws std::system_error when the file cannot be made.
  explicit joblog(const std::string& path);

  /// Throws std::system_error when the line cannot be written.
  void add(const subproc::pool_result& job);

private:
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

} // namespace fanout
