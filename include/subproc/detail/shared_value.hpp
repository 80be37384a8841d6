#pragma once

#include <subproc/detail/export.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// A value that its copies share. One that was ever shared is changed in a copy of its own, so that
/// nobody has to know who else still looks at it: distinct objects need no lock.
template <class T>
class shared_value {
public:
  shared_value() = default;

  shared_value(const shared_value& other) noexcept : value_(other.value_) {
    other.own_.store(false, std::memory_order_relaxed);
  }

  shared_value(shared_value&& other) noexcept
      : value_(std::move(other.value_)), own_(other.own_.load(std::memory_order_relaxed)) {
    other.own_.store(false, std::memory_order_relaxed);
  }

  shared_value& operator=(shared_value other) noexcept {
    value_.swap(other.value_);
    own_.store(other.own_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return *this;
  }

  ~shared_value() = default;

  const T& operator*() const noexcept { return value_ ? *value_ : none(); }
  const T* operator->() const noexcept { return &**this; }

  /// To be changed at once: not after the next copy.
  T& change() {
    if (!own_.load(std::memory_order_relaxed)) {
      value_ = std::make_shared<T>(**this);
      own_.store(true, std::memory_order_relaxed);
    }
    return *value_;
  }

  friend bool operator==(const shared_value& left, const shared_value& right) {
    return left.value_ == right.value_ || *left == *right;
  }

private:
  // Never destroyed: it may be looked at while the program ends.
  static const T& none() noexcept {
    static const T* const value = new T();
    return *value;
  }

  std::shared_ptr<T> value_;
  mutable std::atomic<bool> own_ = false; // several may copy one object at once
};

} // namespace subproc::detail
