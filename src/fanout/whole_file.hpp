#pragma once

#include <string>
#include <string_view>

namespace fanout {

/// A file that is there when it is complete: written beside its name, then renamed. What is no
/// regular file, such as a terminal, is written to as it is. Errors are std::system_error with the
/// name.
class whole_file {
public:
  explicit whole_file(const std::string& path);
  whole_file(const whole_file&) = delete;
  whole_file& operator=(const whole_file&) = delete;
  /// What was not finished goes.
  ~whole_file();

  void write(std::string_view text);

  /// All is written; `start` goes over the first bytes.
  void finish(std::string_view start = {});

private:
  void flush();
  void check(int error) const;

  std::string path_;
  std::string aside_; ///< empty when there is nothing to rename
  std::string waiting_;
  int descriptor_ = -1;
};

} // namespace fanout
