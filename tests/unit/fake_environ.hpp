#pragma once

#include <string>
#include <utility>
#include <vector>

extern "C" char** environ;

namespace subproc::test {

/// Gives this process other environment strings for the length of a scope.
class fake_environ {
public:
  explicit fake_environ(std::vector<std::string> entries)
      : entries_(std::move(entries)), real_(environ) {
    for (std::string& entry : entries_) {
      pointers_.push_back(entry.data());
    }
    pointers_.push_back(nullptr);
    environ = pointers_.data();
  }
  fake_environ(const fake_environ&) = delete;
  fake_environ& operator=(const fake_environ&) = delete;
  ~fake_environ() { environ = real_; }

private:
  std::vector<std::string> entries_;
  std::vector<char*> pointers_;
  char** real_;
};

} // namespace subproc::test
