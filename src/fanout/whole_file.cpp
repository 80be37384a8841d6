#include "whole_file.hpp"

#include "console.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

namespace fanout {
namespace {

constexpr std::size_t enough_to_write = 64 * 1024;

std::filesystem::path native(const std::string& utf8) {
  return {std::u8string(utf8.begin(), utf8.end())};
}

} // namespace

whole_file::whole_file(const std::string& path) : path_(path) {
  std::error_code ec;
  const auto at = std::filesystem::status(native(path), ec);
  if (std::filesystem::exists(at) && !std::filesystem::is_regular_file(at)) {
    descriptor_ = open_file(path, file_use::create);
  } else {
    if (std::filesystem::exists(at)) { // of a link the file that it leads to
      const auto target = std::filesystem::canonical(native(path), ec).u8string();
      path_ = ec ? path_ : std::string(target.begin(), target.end());
    }
    aside_ = fmt::format("{}.{:08x}.part", path_, std::random_device()());
    descriptor_ = open_file(aside_, file_use::create_new);
  }
  if (descriptor_ < 0) {
    throw std::system_error(errno, std::generic_category(), "'" + path + "'");
  }
}

whole_file::~whole_file() {
  if (descriptor_ < 0) {
    return;
  }
  close_file(descriptor_);
  if (!aside_.empty()) {
    std::error_code ec;
    std::filesystem::remove(native(aside_), ec);
  }
}

void whole_file::write(std::string_view text) {
  waiting_ += text;
  if (waiting_.size() >= enough_to_write) {
    flush();
  }
}

void whole_file::finish(std::string_view start) {
  flush();
  if (!start.empty()) {
    check(rewind_file(descriptor_));
    check(write_all(descriptor_, start));
  }
  if (aside_.empty()) {
    return;
  }
  close_file(std::exchange(descriptor_, -1));
  std::error_code refused;
  std::filesystem::rename(native(aside_), native(path_), refused);
  if (refused) {
    std::error_code ignored;
    std::filesystem::remove(native(aside_), ignored);
    check(refused.default_error_condition().value());
  }
}

void whole_file::flush() {
  const std::string text = std::exchange(waiting_, {});
  check(write_all(descriptor_, text));
}

void whole_file::check(int error) const {
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), "cannot write '" + path_ + "'");
  }
}

} // namespace fanout
