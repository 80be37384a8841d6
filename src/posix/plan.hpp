#pragma once

#include "child.hpp"
#include "limits_plan.hpp"

#include <subproc/launcher.hpp>

#include <string>
#include <vector>

namespace SUBPROC_NAMESPACE::detail {

/// Throws spawn_error unless every descriptor that the command names is open. It comes before
/// anything of ours is opened, which could take the number of one that is closed.
void require_all_open(const command& cmd);

/// Opens a file for a stream, closed on exec. Throws spawn_error.
unique_handle open_file(const file& what, bool for_reading, int more_flags = 0);

/// A command lowered to what the child needs, with the descriptors that the start takes. Throws
/// spawn_error while nothing has started.
class launch_plan {
public:
  explicit launch_plan(const command& cmd);
  launch_plan(const launch_plan&) = delete;
  launch_plan& operator=(const launch_plan&) = delete;

  /// What the child gets; valid as long as this and the command.
  child_plan& child() noexcept { return child_; }

  /// Credentials and hooks must not run in memory shared with the caller.
  bool needs_fork() const noexcept {
    return child_.set_uid || child_.set_gid || child_.set_groups || child_.pre_exec != nullptr;
  }

  /// The highest descriptor that the child needs of the caller's table.
  int highest_source() const noexcept;

  /// The exception for what the child reported.
  spawn_error error(const child_report& report) const;

  /// The caller's pipe ends.
  unique_handle in;
  unique_handle out;
  unique_handle err;

private:
  void plan_environment(const environment& env);
  void plan_program(const command& cmd);
  void plan_descriptors(const command& cmd);
  void plan_identity(const command& cmd);
  void plan_shell();
  const std::string* program_left_out() const;
  int source(const input_redirect& what, const command& cmd);
  int source(const output_redirect& what, const command& cmd, unique_handle& parent_end);
  int inherited(int number);
  int blocking(int descriptor);
  int own(unique_handle child_end);
  int bytes_source(const std::string& bytes, bytes_form form, const char* option);
  int make_pipe(bool child_reads, unique_handle& parent_end, const command& cmd);

  child_plan child_;
  std::string program_;
  std::string directory_;
  std::vector<const char*> argv_;
  std::vector<std::string> variables_; ///< of the environment, that are not the caller's
  std::vector<const char*> envp_;
  std::vector<std::string> candidates_;
  std::vector<const char*> executables_;
  std::vector<std::string> unused_candidates_; ///< of relative entries of PATH
  std::vector<const char*> shell_argv_;
  std::vector<fd_move> moves_;
  std::vector<int> kept_;
  limits_plan limits_;
  std::vector<gid_t> groups_;
  std::vector<unique_handle> child_ends_;
  bool inherited_nonblocking_[3] = {};
};

} // namespace subproc::detail
