#pragma once

#include <subproc/command.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanout {

/// The command line with its placeholders: {} the item, {.} without extension, {/} its last part,
/// {//} its folder, {#} the job's number. Without any of an item, the item is appended.
class item_template {
public:
  item_template(std::vector<std::string> words, bool shell);

  /// The command of one item. Items are bytes and go in as they are; for a shell they are quoted.
  subproc::command make(std::string_view item, std::uint64_t number) const;

private:
  std::string fill(std::string_view word, std::string_view item, std::uint64_t number) const;

  std::vector<std::string> words_;
  bool shell_;
  bool append_;
};

} // namespace fanout
