#pragma once

#include "options.hpp"

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
/// `/.` the last part without extension; {#} the job's number, {%} its slot; {NAME} the value of
/// its try, but for ${NAME}, which a shell knows. Without any of an item, {} comes last. What is
/// none of them stays as it is.
class item_template {
public:
  /// `items`: there are some, so that {} comes last where nothing stands for them.
  item_template(std::vector<std::string> words, bool shell, bool items,
                std::vector<per_try> by_try);

  /// The names that {name} may have.
  void name_columns(std::vector<std::string> names);

  struct job {
    const row& columns;
    std::uint64_t number;
    std::size_t slot;
    unsigned number_of_try;
  };
  /// Items are bytes and go in as they are; for a shell they are quoted. A word {} with several
  /// columns becomes as many words.
  subproc::command make(const job& of) const;

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

  /// Two runs of a job may differ: {%} is in it, or the value of a try.
  bool varies() const;

private:
  struct placeholder {
    enum class what { number, slot, all, column, value };
    enum class form { whole, no_extension, base, folder, bare_base };
    what of;
    form as = form::whole;
    std::size_t index = 0; ///< of the column or value

    bool of_item() const { return of == what::all || of == what::column; }
  };

  std::optional<placeholder> read(std::string_view name, bool behind_dollar) const;
  void find_items();
  std::size_t widest(const placeholder& which) const;
  template <class Use>
  void each_part(std::string_view word, Use use) const;
  row texts(const placeholder& which, const job& of) const;

  std::vector<std::string> words_;
  std::vector<std::string> names_;
  std::vector<per_try> by_try_;
  bool shell_;
  bool items_;
  bool append_ = false;
};

} // namespace fanout
