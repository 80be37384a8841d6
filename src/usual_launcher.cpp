#include "usual_launcher.hpp"

#include <atomic>
#include <mutex>
#include <utility>

namespace SUBPROC_NAMESPACE::detail {
namespace {

struct replacement {
  std::atomic<bool> there = false; ///< all that a start looks at in a program that has none
  std::mutex mutex;
  std::shared_ptr<launcher> who;
};

replacement& current() {
  static auto* const instance = new replacement; // used by threads that outlive static destruction
  return *instance;
}

} // namespace

std::shared_ptr<launcher> usual_launcher() {
  replacement& now = current();
  if (now.there.load(std::memory_order_acquire)) {
    const std::lock_guard lock(now.mutex);
    if (now.who) {
      return now.who;
    }
  }
  return default_launcher();
}

bool replace_usual_launcher(std::shared_ptr<launcher> who) {
  replacement& now = current();
  const std::lock_guard lock(now.mutex);
  if (who && now.who) {
    return false;
  }
  now.there.store(who != nullptr, std::memory_order_release);
  now.who.swap(who);
  return true;
}

} // namespace subproc::detail
