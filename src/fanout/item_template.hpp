#pragma once

#include <subproc/command.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanout {

/// What a job is made of: its item, or its columns.
using row = std::vector<std::string>;

/// With spaces between.
std::string joined(const row& parts);

/// The command line with its placeholders: {} the item or all columns, {2} the second, {name} that
/// of the name; with `.` before the brace without extension, `/` the last part, `//` the folder,
/// `/.` the last part without extension; {#} the job's number, {%} its slot. Without any of an
/// item, {} comes last. What is none of them stays as it is.
class item_template {
public:
  /// `items`: there are some, so that {} comes last where nothing stands for them.
  item_template(std::vector<std::string> words, bool shell, bool items);

  /// The names that {name} may have.
  void name_columns(std::vector<std::string> names);

  /// Items are bytes and go in as they are; for a shell they are quoted. A word {} with several
  /// columns becomes as many words.
  subproc::command make(const row& columns, std::uint64_t number, std::size_t slot) const;

  /// Counts the items of a command, of which there may be as many as the system takes.
  class measure {
  public:
    /// Whether there is room for this one too; for the first there always is.
    bool add(const std::string& item);

  private:
    friend class item_template;
    struct word {
      std::size_t size = 0;   ///< bytes, so far
      std::size_t alone = 0;  ///< whether its items become arguments of their own
      std::size_t within = 0; ///< how often each item is in it
    };

    std::vector<word> words_;
    bool shell_ = false;
    std::size_t room_ = 0;
    bool any_ = false;
  };
  /// Of a command that has so much room (room_for_arguments).
  measure measured(std::size_t room) const;

  /// {%} is in it: two runs of a job may differ.
  bool has_slot() const;

private:
  struct placeholder {
    enum class what { number, slot, all, column };
    enum class form { whole, no_extension, base, folder, bare_base };
    what of;
    form as = form::whole;
    std::size_t column = 0;
  };

  std::optional<placeholder> read(std::string_view name) const;
  void find_items();
  template <class Use>
  void each_part(std::string_view word, Use use) const;
  row values(const placeholder& which, const row& columns, std::uint64_t number,
             std::size_t slot) const;

  std::vector<std::string> words_;
  std::vector<std::string> names_;
  bool shell_;
  bool items_;
  bool append_ = false;
};

} // namespace fanout
