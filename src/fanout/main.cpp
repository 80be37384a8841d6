#include "console.hpp"
#include "options.hpp"
#include "session.hpp"

#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace fanout {
namespace {

int main(int argc, char** argv) {
  prepare_streams();
  try {
    std::vector<std::string> words = arguments(argc, argv);
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (std::string& word : words) {
      pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    parsed what = parse(static_cast<int>(words.size()), pointers.data());
    return what.ok ? run_session(std::move(*what.ok)) : what.exit_code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fanout: %s\n", error.what());
    return own_error;
  }
}

} // namespace
} // namespace fanout

int main(int argc, char** argv) { fanout::leave(fanout::main(argc, argv)); }
