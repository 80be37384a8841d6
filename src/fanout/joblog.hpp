#pragma once

#include <subproc/pool.hpp>

#include <cstdint>
#include <string>
#include <unordered_map>

namespace fanout {

/// A line for each job that has ended, in the columns of GNU parallel's --joblog; or what such a
/// file says, so that a run goes on where another one ended.
class joblog {
public:
  enum class use {
    anew,
    resume,       ///< leave out the jobs in it
    resume_failed ///< leave out those that went well
  };

  /// Opens the file; of one to go on with, a line that a crash has cut off goes. Throws
  /// std::system_error, std::invalid_argument when it is no job log.
  joblog(const std::string& path, use how);
  joblog(const joblog&) = delete;
  joblog& operator=(const joblog&) = delete;
  ~joblog();

  /// Whether the file has that job. Throws std::invalid_argument when it was another command;
  /// `text` is empty where that cannot be told.
  bool has(std::uint64_t number, const std::string& text) const;

  static std::string line(const subproc::pool_result& job, std::uint64_t number);
  static std::string one_line(std::string text);

  int descriptor() const noexcept { return descriptor_; }

private:
  void read(use how);

  std::string path_;
  std::unordered_map<std::uint64_t, std::size_t> done_; ///< the hashes of their commands
  int descriptor_ = -1;
};

} // namespace fanout
