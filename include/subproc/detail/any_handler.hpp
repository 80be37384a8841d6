#pragma once

#include <subproc/detail/asio.hpp>

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {

/// As executor_work_guard, which has a type-erased executor twice.
template <class Executor>
struct work_guard : asio::executor_work_guard<Executor> {
  using asio::executor_work_guard<Executor>::executor_work_guard;
};

template <>
class work_guard<asio::any_io_executor> {
public:
  explicit work_guard(const asio::any_io_executor& executor)
      : tracked_(asio::prefer(executor, asio::execution::outstanding_work.tracked)) {}

  const asio::any_io_executor& get_executor() const noexcept { return tracked_; }

private:
  asio::any_io_executor tracked_;
};

/// Work on the executor of an operation whose handler keeps its own busy already.
template <class IoExecutor>
struct second_guard {
  template <class Executor>
  second_guard(const IoExecutor& io_executor, const Executor&) : work(io_executor) {}

  asio::executor_work_guard<IoExecutor> work;
};

/// Where a guard costs allocations there is none that is not needed.
template <>
struct second_guard<asio::any_io_executor> {
  template <class Executor>
  second_guard(const asio::any_io_executor& io_executor, const Executor& of_handler) {
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>) {
      if (of_handler == io_executor) {
        return;
      }
    }
    work = asio::prefer(io_executor, asio::execution::outstanding_work.tracked);
  }

  asio::any_io_executor work;
};

/// A handler with the arguments that it is to be called with. With a bind_allocator() in its place
/// Asio would keep another guard, and dispatch twice.
template <class Handler, class... Args>
struct completion {
  using allocator_type = asio::associated_allocator_t<Handler>;
  allocator_type get_allocator() const noexcept { return allocator; }

  void operator()() {
    std::apply([this](auto&&... value) { std::move(handler)(std::move(value)...); },
               std::move(values));
  }

  allocator_type allocator;
  Handler handler;
  std::tuple<Args...> values;
};

/// What any_handler does in the end, for an operation that has its result already.
template <class Handler, class IoExecutor, class... Args>
void post_completion(Handler handler, const IoExecutor& io_executor, Args... args) {
  const auto executor = asio::get_associated_executor(handler, io_executor);
  const auto allocator = asio::get_associated_allocator(handler);
  asio::post(executor,
             completion<Handler, Args...>{allocator, std::move(handler), {std::move(args)...}});
}

template <class Signature>
class any_handler;

/// A move-only completion handler whose type is forgotten, so that operations can be compiled once.
/// It keeps the handler's associated executor busy until it is completed or destroyed, takes its
/// memory from the associated allocator, and always completes through a post. Asio has had
/// any_completion_handler only since 1.25.
template <class... Args>
class any_handler<void(Args...)> {
public:
  any_handler() noexcept = default;

  template <class Handler, class IoExecutor>
  any_handler(Handler handler, const IoExecutor& io_executor)
      : model_(make<Handler, IoExecutor>(std::move(handler), io_executor)) {}

  /// One that is called right where it is completed, on no executor: it must not run user code.
  template <class Function>
  static any_handler direct(Function function) {
    any_handler made;
    made.model_ = new direct_model<Function>(std::move(function));
    return made;
  }

  any_handler(any_handler&& other) noexcept : model_(std::exchange(other.model_, nullptr)) {}

  any_handler& operator=(any_handler&& other) noexcept {
    any_handler(std::move(other)).swap(*this);
    return *this;
  }

  ~any_handler() {
    if (model_) {
      model_->destroy();
    }
  }

  void swap(any_handler& other) noexcept { std::swap(model_, other.model_); }

  explicit operator bool() const noexcept { return model_ != nullptr; }

  /// Posts the handler, unless it is a direct one, with these arguments to its executor; the memory
  /// is free before that.
  void complete(Args... args) { std::exchange(model_, nullptr)->complete(std::move(args)...); }

private:
  struct concept_base {
    virtual void complete(Args... args) = 0;
    virtual void destroy() noexcept = 0;

  protected:
    ~concept_base() = default;
  };

  template <class Handler, class IoExecutor>
  struct model final : concept_base {
    using executor_type = asio::associated_executor_t<Handler, IoExecutor>;
    using allocator_type = typename std::allocator_traits<
        asio::associated_allocator_t<Handler>>::template rebind_alloc<model>;

    model(Handler&& h, const IoExecutor& io_executor)
        : handler(std::move(h)), work(asio::get_associated_executor(handler, io_executor)),
          io_work(io_executor, asio::get_associated_executor(handler, io_executor)) {}

    allocator_type allocator() const noexcept {
      return allocator_type(asio::get_associated_allocator(handler));
    }

    void complete(Args... args) override {
      std::unique_ptr<model, deleter> self(this, deleter{allocator()});
      completion<Handler, std::decay_t<Args>...> next{
          asio::get_associated_allocator(handler), std::move(handler), {std::move(args)...}};
      // Both guards are kept until the post has been counted.
      auto keep = std::pair(std::move(work), std::move(io_work));
      self.reset();
      asio::post(keep.first.get_executor(), std::move(next));
    }

    void destroy() noexcept override { deleter{allocator()}(this); }

    struct deleter {
      allocator_type allocator;

      void operator()(model* who) noexcept {
        std::allocator_traits<allocator_type>::destroy(allocator, who);
        std::allocator_traits<allocator_type>::deallocate(allocator, who, 1);
      }
    };

    Handler handler;
    work_guard<executor_type> work;
    second_guard<IoExecutor> io_work;
  };

  template <class Function>
  struct direct_model final : concept_base {
    explicit direct_model(Function&& f) : function(std::move(f)) {}

    void complete(Args... args) override {
      Function f = std::move(function);
      delete this;
      f(std::move(args)...);
    }

    void destroy() noexcept override { delete this; }

    Function function;
  };

  template <class Handler, class IoExecutor>
  static concept_base* make(Handler&& handler, const IoExecutor& io_executor) {
    using type = model<std::decay_t<Handler>, IoExecutor>;
    using allocator_type = typename type::allocator_type;
    allocator_type a(asio::get_associated_allocator(handler));
    type* p = std::allocator_traits<allocator_type>::allocate(a, 1);
    try {
      return ::new (static_cast<void*>(p)) type(std::forward<Handler>(handler), io_executor);
    } catch (...) {
      std::allocator_traits<allocator_type>::deallocate(a, p, 1);
      throw;
    }
  }

  concept_base* model_ = nullptr;
};

} // namespace subproc::detail
