#pragma once

#include <subproc/detail/export.hpp>

#include <concepts>
#include <memory>
#include <tuple>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// An optional group of options. Copies share it, so that a command which has none, or is copied
/// often, stays light; equal means equal values.
template <class Group>
class option_group {
public:
  option_group() = default;
  explicit option_group(Group value) : value_(std::make_shared<const Group>(std::move(value))) {}

  const Group* get() const noexcept { return value_.get(); }

  friend bool operator==(const option_group& left, const option_group& right) {
    return left.value_ == right.value_ ||
           (left.value_ && right.value_ && *left.value_ == *right.value_);
  }

private:
  std::shared_ptr<const Group> value_;
};

template <class... Groups>
using option_groups = std::tuple<option_group<Groups>...>;

template <class Group, class Groups>
inline constexpr bool is_group_of = false;
template <class Group, class... Groups>
inline constexpr bool
    is_group_of<Group, std::tuple<option_group<Groups>...>> = (std::same_as<Group, Groups> || ...);

template <class Group, class Groups>
concept group_of = is_group_of<Group, Groups>;

} // namespace subproc::detail
