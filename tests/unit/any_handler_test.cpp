#include <subproc/detail/any_handler.hpp>

#include "../printing.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace {

using subproc::detail::any_handler;
using handler_type = any_handler<void(int, std::string)>;

struct ledger {
  int allocations = 0;
  int live = 0;
  std::size_t bytes = 0;
};

template <class T>
class counting_allocator {
public:
  using value_type = T;

  explicit counting_allocator(ledger& counts) noexcept : counts_(&counts) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) noexcept : counts_(other.counts()) {}

  T* allocate(std::size_t n) {
    T* const p = std::allocator<T>().allocate(n);
    ++counts_->allocations;
    ++counts_->live;
    counts_->bytes += n * sizeof(T);
    return p;
  }
  void deallocate(T* p, std::size_t n) noexcept {
    --counts_->live;
    counts_->bytes -= n * sizeof(T);
    std::allocator<T>().deallocate(p, n);
  }

  ledger* counts() const noexcept { return counts_; }
  friend bool operator==(const counting_allocator& a, const counting_allocator& b) noexcept {
    return a.counts_ == b.counts_;
  }

private:
  ledger* counts_;
};

// A handler whose memory is counted; `alive` tells whether it was destroyed.
struct counted_handler {
  using allocator_type = counting_allocator<char>;

  allocator_type get_allocator() const noexcept { return allocator_type(*counts); }
  void operator()(int number, std::string text) {
    *got = std::to_string(number) + text;
    *live_at_call = counts->live;
  }

  ledger* counts;
  std::string* got;
  int* live_at_call;
  std::shared_ptr<int> alive;
};

// Copying is all it can, and the copy that `fuse` counts down to throws.
struct throwing_handler {
  using allocator_type = counting_allocator<char>;

  throwing_handler(ledger& l, int& f) : counts(&l), fuse(&f) {}
  throwing_handler(const throwing_handler& other)
      : counts(other.counts), fuse(other.fuse), calls(other.calls) {
    if ((*fuse)-- == 0) {
      throw std::runtime_error("copy");
    }
  }

  allocator_type get_allocator() const noexcept { return allocator_type(*counts); }
  void operator()(int, std::string) { ++*calls; }

  ledger* counts;
  int* fuse;
  std::shared_ptr<int> calls = std::make_shared<int>(0);
};

TEST_SUITE("any_handler") {
  TEST_CASE("any_handler: an empty one is false, and swaps and moves") {
    handler_type none;
    CHECK_FALSE(none);
    asio::io_context context;
    handler_type some([](int, std::string) {}, context.get_executor());
    CHECK(some);
    none = std::move(some);
    CHECK(none);
    CHECK_FALSE(some);
    some.swap(none);
    CHECK(some);
    CHECK_FALSE(none);
  }

  TEST_CASE("any_handler: completes through a post, once, with its arguments") {
    asio::io_context context;
    std::string got;
    handler_type handler([&](int n, std::string s) { got = std::to_string(n) + s; },
                         context.get_executor());
    handler.complete(7, "seven");
    CHECK_FALSE(handler);
    CHECK(got.empty());
    CHECK(context.run() == 1);
    CHECK(got == "7seven");
  }

  TEST_CASE("any_handler: inside the loop it still does not complete in place") {
    asio::io_context context;
    std::string order;
    asio::post(context, [&] {
      handler_type handler([&](int, std::string) { order += "handler"; }, context.get_executor());
      handler.complete(0, {});
      order += "caller ";
    });
    context.run();
    CHECK(order == "caller handler");
  }

  TEST_CASE("any_handler: takes its memory from the handler's allocator and gives it back before "
            "the call") {
    asio::io_context context;
    ledger counts;
    std::string got;
    int live_at_call = -1;
    const auto alive = std::make_shared<int>();
    {
      handler_type handler(counted_handler{&counts, &got, &live_at_call, alive},
                           context.get_executor());
      CHECK(counts.allocations == 1);
      CHECK(counts.live == 1);
      handler.complete(1, "x");
      CHECK(counts.live == 1); // the posted one
      CHECK(counts.allocations == 2);
    }
    context.run();
    CHECK(got == "1x");
    CHECK(live_at_call == 0);
    CHECK(counts.live == 0);
    CHECK(counts.bytes == 0);
    CHECK(alive.use_count() == 1);
  }

  TEST_CASE("any_handler: destroyed or overwritten without a call, it lets go of everything") {
    asio::io_context context;
    ledger counts;
    std::string got;
    int live_at_call = -1;
    const auto alive = std::make_shared<int>();
    {
      handler_type handler(counted_handler{&counts, &got, &live_at_call, alive},
                           context.get_executor());
      handler_type other(counted_handler{&counts, &got, &live_at_call, alive},
                         context.get_executor());
      CHECK(counts.live == 2);
      handler = std::move(other);
      CHECK(counts.live == 1);
      CHECK(alive.use_count() == 2);
    }
    CHECK(counts.live == 0);
    CHECK(counts.bytes == 0);
    CHECK(alive.use_count() == 1);
    CHECK(context.run() == 0);
    CHECK(got.empty());
  }

  TEST_CASE("any_handler: a loop destroyed with the call posted destroys the handler") {
    ledger counts;
    std::string got;
    int live_at_call = -1;
    const auto alive = std::make_shared<int>();
    {
      asio::io_context context;
      handler_type handler(counted_handler{&counts, &got, &live_at_call, alive},
                           context.get_executor());
      handler.complete(1, "x");
    }
    CHECK(got.empty());
    CHECK(counts.live == 0);
    CHECK(alive.use_count() == 1);
  }

  TEST_CASE("any_handler: it counts as work of the loop until it completes or goes") {
    asio::io_context context;
    bool called = false;
    handler_type handler([&](int, std::string) { called = true; }, context.get_executor());
    context.poll();
    CHECK_FALSE(context.stopped());
    handler.complete(0, {});
    context.run();
    CHECK(called);
    CHECK(context.stopped());

    context.restart();
    handler = handler_type([](int, std::string) {}, context.get_executor());
    context.poll();
    CHECK_FALSE(context.stopped());
    handler = {};
    context.poll();
    CHECK(context.stopped());
  }

  TEST_CASE("any_handler: completes on the handler's own executor, and both loops have work") {
    asio::io_context own;
    asio::io_context io;
    bool called = false;
    handler_type handler(asio::bind_executor(own.get_executor(),
                                             [&](int, std::string) {
                                               called = true;
                                               CHECK(own.get_executor().running_in_this_thread());
                                             }),
                         io.get_executor());
    own.poll();
    io.poll();
    CHECK_FALSE(own.stopped());
    CHECK_FALSE(io.stopped());
    handler.complete(0, {});
    CHECK(io.run() == 0);
    CHECK_FALSE(called);
    own.run();
    CHECK(called);
  }

  TEST_CASE("any_handler: a strand's handler runs in its strand") {
    asio::io_context context;
    const auto strand = asio::make_strand(context);
    bool inside = false;
    handler_type handler(
        asio::bind_executor(strand,
                            [&](int, std::string) { inside = strand.running_in_this_thread(); }),
        context.get_executor());
    handler.complete(0, {});
    context.run();
    CHECK(inside);
  }

  TEST_CASE("any_handler: takes handlers and values that can only be moved") {
    asio::io_context context;
    int got = 0;
    any_handler<void(std::unique_ptr<int>)> handler(
        [&, own = std::make_unique<int>(1)](std::unique_ptr<int> value) { got = *value + *own; },
        context.get_executor());
    handler.complete(std::make_unique<int>(41));
    context.run();
    CHECK(got == 42);
  }

  TEST_CASE("any_handler: whichever copy of a handler throws, no memory of its allocator is left") {
    bool completed = false;
    for (int fuse_length = 0; !completed; ++fuse_length) {
      REQUIRE(fuse_length < 50);
      CAPTURE(fuse_length);
      ledger counts;
      int fuse = fuse_length;
      const throwing_handler original(counts, fuse);
      try {
        asio::io_context context;
        handler_type handler(original, context.get_executor());
        handler.complete(1, "x");
        context.run();
        completed = true;
      } catch (const std::runtime_error&) {
      }
      CHECK(*original.calls == (completed ? 1 : 0));
      CHECK(original.calls.use_count() == 1);
      CHECK(counts.live == 0);
      CHECK(counts.bytes == 0);
    }
  }

  TEST_CASE("any_handler: a copy that throws before the post ends the work") {
    // One copy makes the parameter and one the model; the third is made by complete().
    asio::io_context context;
    ledger counts;
    int fuse = 2;
    const throwing_handler original(counts, fuse);
    handler_type handler(original, context.get_executor());
    REQUIRE(counts.live == 1);
    CHECK_THROWS_AS(handler.complete(1, "x"), std::runtime_error);
    CHECK_FALSE(handler);
    CHECK(counts.live == 0);
    CHECK(original.calls.use_count() == 1);
    context.run();
    CHECK(*original.calls == 0);
  }
}

} // namespace
