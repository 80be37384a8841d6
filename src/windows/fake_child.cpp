#include "../fake_child.hpp"

#include "../check.hpp"

namespace SUBPROC_NAMESPACE::detail {

launched_child start_fake(const command&, testing::script, std::shared_ptr<fake_clock>,
                          std::shared_ptr<fake_record>) {
  refuse("launcher", "testing::fake_launcher has no children on Windows yet");
}

} // namespace subproc::detail
