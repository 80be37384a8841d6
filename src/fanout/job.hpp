#pragma once

#include "item_template.hpp"
#include "line_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace fanout {

/// One job, from its item until it has ended.
struct job {
  std::uint64_t number = 0; ///< its place in the input
  std::size_t slot = 0;
  row columns{};
  std::string block{}; ///< for its stdin
  std::shared_ptr<line_stream> out{};
  std::shared_ptr<line_stream> err{};
};

} // namespace fanout
