#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanout {

/// An option as the pages about it show it.
struct option_text {
  std::string short_name; ///< "j", or none
  std::string long_name;  ///< "jobs"
  std::string what;
  bool takes_value = false;
  bool takes_file = false;
};

/// A script that completes fanout's command line in "bash", "zsh" or "fish"; nothing for others.
std::optional<std::string> completion(std::string_view shell,
                                      const std::vector<option_text>& options);

/// The page for man(1), in roff.
std::string man_page(const std::string& about, const std::string& exit_codes,
                     const std::vector<option_text>& options);

} // namespace fanout
