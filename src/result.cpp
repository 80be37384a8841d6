#include <subproc/result.hpp>

#include <subproc/error.hpp>

#include "text.hpp"

#include <algorithm>
#include <array>
#include <ostream>

namespace SUBPROC_NAMESPACE {

const char* to_string(launcher_kind kind) noexcept {
  switch (kind) {
  case launcher_kind::none:
    return "none";
  case launcher_kind::clone3:
    return "clone3";
  case launcher_kind::vfork:
    return "vfork";
  case launcher_kind::fork:
    return "fork";
  case launcher_kind::custom:
    return "custom";
  case launcher_kind::create_process:
    return "create_process";
  }
  return "unknown";
}

namespace detail {
namespace {

// Calls use(is_err, text, offset) for each piece, then for what they leave of either stream.
template <class Use>
void for_each_piece(std::string_view out, std::string_view err,
                    const std::vector<output_piece>& pieces, Use use) {
  const std::array texts{out, err};
  std::array<std::size_t, 2> ends{};
  for (const output_piece& piece : pieces) {
    const std::size_t i = piece.stream == output_stream::err;
    const auto offset = static_cast<std::size_t>(
        std::min<std::uint64_t>(piece.offset, texts[i].size())); // the user may have cut the text
    const std::string_view text = texts[i].substr(offset, piece.size);
    use(i, text, offset);
    ends[i] = offset + text.size();
  }
  for (std::size_t i = 0; i < 2; ++i) {
    use(i, texts[i].substr(ends[i]), ends[i]);
  }
}

} // namespace

std::string ordered_text(std::string_view out, std::string_view err,
                         const std::vector<output_piece>& pieces) {
  std::string all;
  all.reserve(out.size() + err.size());
  for_each_piece(out, err, pieces,
                 [&](std::size_t, std::string_view text, std::size_t) { all += text; });
  return all;
}

std::string ordered_lines(std::string_view out, std::string_view err,
                          const std::vector<output_piece>& pieces, std::string_view out_tag,
                          std::string_view err_tag) {
  const std::array texts{out, err};
  const std::array tags{out_tag, err_tag};
  std::array<std::size_t, 2> starts{}; // of the lines whose ends have not been seen
  std::string all;
  const auto put_line = [&](std::size_t i, std::size_t end) {
    (all += tags[i]) += texts[i].substr(starts[i], end - starts[i]);
    starts[i] = end;
  };
  for_each_piece(out, err, pieces, [&](std::size_t i, std::string_view text, std::size_t offset) {
    for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos;) {
      put_line(i, offset + ++at);
    }
  });
  for (std::size_t i = 0; i < 2; ++i) {
    if (starts[i] < texts[i].size()) {
      put_line(i, texts[i].size());
      all += '\n';
    }
  }
  return all;
}

} // namespace detail

void completed_process::check_returncode() const {
  if (!cmd.accepts(status)) {
    throw called_process_error(*this);
  }
}

std::string to_string(const completed_process& result) {
  const auto code = result.returncode();
  std::string text = "completed_process(args=" + to_string(result.cmd) +
                     ", returncode=" + (code ? std::to_string(*code) : "unknown");
  if (result.out_captured) {
    text += ", out=" + detail::shown(result.out);
  }
  if (result.err_captured) {
    text += ", err=" + detail::shown(result.err);
  }
  return text + ')';
}

std::ostream& operator<<(std::ostream& os, const completed_process& result) {
  return os << to_string(result);
}

} // namespace subproc
