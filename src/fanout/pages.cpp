#include "pages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fanout {
namespace {

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string all;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(what, at);
    all += text.substr(at, found - at);
    if (found == text.npos) {
      return all;
    }
    all += by;
    at = found + what.size();
  }
}

/// Both names, each behind `before` and parted by `between`.
std::string names(const option_text& option, std::string_view between) {
  const std::string first =
      option.short_name.empty() ? "" : fmt::format("-{}{}", option.short_name, between);
  return first + "--" + option.long_name;
}

template <class Wanted>
std::string names_of(const std::vector<option_text>& options, std::string_view between,
                     Wanted wanted) {
  std::string all;
  for (const option_text& each : options) {
    if (wanted(each)) {
      (all += all.empty() ? "" : between) += names(each, between);
    }
  }
  return all;
}

// Behind the command's name its own words are completed as files.
std::string bash(const std::vector<option_text>& options) {
  constexpr std::string_view script = R"(_fanout() {
  local current="${COMP_WORDS[COMP_CWORD]}" word
  local -i i
  COMPREPLY=()
  case "${COMP_WORDS[COMP_CWORD-1]}" in
    @FILES@) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    @VALUES@) return ;;
  esac
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word="${COMP_WORDS[i]}"
    case "$word" in
      @FILES@ | @VALUES@) i+=1 ;;
      -*) ;;
      *) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
  done
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "@ALL@" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -c -- "$current")
  fi
}
complete -o filenames -F _fanout fanout
)";
  const auto files = [](const option_text& each) { return each.takes_file; };
  const auto values = [](const option_text& each) { return each.takes_value && !each.takes_file; };
  std::string text = replaced(script, "@FILES@", names_of(options, " | ", files));
  text = replaced(text, "@VALUES@", names_of(options, " | ", values));
  return replaced(text, "@ALL@", names_of(options, " ", [](const auto&) { return true; }));
}

std::string zsh(const std::vector<option_text>& options) {
  std::string text = "#compdef fanout\n_arguments -s -S \\\n";
  for (const option_text& each : options) {
    std::string what = replaced(each.what, "'", "'\\''");
    for (const char* special : {"[", "]", ":"}) {
      what = replaced(what, special, std::string("\\") + special);
    }
    const std::string value = each.takes_file ? ":file:_files" : each.takes_value ? ":value: " : "";
    text += each.short_name.empty()
                ? fmt::format("  '--{}[{}]{}' \\\n", each.long_name, what, value)
                : fmt::format("  '(-{0} --{1})'{{-{0},--{1}}}'[{2}]{3}' \\\n", each.short_name,
                              each.long_name, what, value);
  }
  return text + "  '(-)1:command:_command_names -e' '*::arguments:_normal'\n";
}

std::string fish(const std::vector<option_text>& options) {
  std::string text;
  for (const option_text& each : options) {
    text += "complete -c fanout";
    text += each.short_name.empty() ? "" : " -s " + each.short_name;
    text += fmt::format(" -l {} {}-d '{}'\n", each.long_name,
                        each.takes_file    ? "-r "
                        : each.takes_value ? "-x "
                                           : "",
                        replaced(replaced(each.what, "\\", "\\\\"), "'", "\\'"));
  }
  return text + "complete -c fanout -n __fish_is_first_token -a '(__fish_complete_command)'\n";
}

std::string roff(std::string_view text) {
  std::string escaped = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  escaped = replaced(escaped, "\n.", "\n\\&.");
  return replaced(escaped, "\n'", "\n\\&'");
}

} // namespace

std::optional<std::string> completion(std::string_view shell,
                                      const std::vector<option_text>& options) {
  if (shell == "bash") {
    return bash(options);
  }
  if (shell == "zsh") {
    return zsh(options);
  }
  return shell == "fish" ? std::optional(fish(options)) : std::nullopt;
}

std::string man_page(const std::string& about, const std::string& exit_codes,
                     const std::vector<option_text>& options) {
  std::string text =
      ".TH FANOUT 1\n.SH NAME\nfanout \\- run a command for each of many items, some at once\n"
      ".SH SYNOPSIS\n.B fanout\n[options] command [arguments] [::: items]\n.SH DESCRIPTION\n" +
      roff(about) + "\n.SH OPTIONS\n";
  for (const option_text& each : options) {
    text += fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(names(each, ", ")),
                        each.takes_file    ? " \\fIFILE\\fR"
                        : each.takes_value ? " \\fIVALUE\\fR"
                                           : "",
                        roff(each.what));
  }
  return text + ".SH EXIT STATUS\n" + roff(exit_codes) +
         "\n.SH SEE ALSO\n.BR xargs (1),\n.BR parallel (1)\n";
}

} // namespace fanout
