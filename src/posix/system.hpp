#pragma once

// What every POSIX system has, each in its own way: src/linux/system.cpp makes raw system calls,
// src/posix/system.cpp calls functions of POSIX. As those they return -1 and set errno.

#include "child.hpp"

#include <subproc/command.hpp>
#include <subproc/detail/native_handle.hpp>
#include <subproc/launcher.hpp>

#include <cstddef>

#include <signal.h>
#include <sys/types.h>

namespace subproc::detail::sys {

// For the caller.

/// Refuses, by name, options that this system does not have. Throws spawn_error.
void check_options(const command& cmd);

/// Both ends are closed on exec; flags may be O_NONBLOCK.
int open_pipe(int (&ends)[2], int flags = 0) noexcept;
int set_pipe_size(int descriptor, int size) noexcept;

/// A new open file behind the descriptor, with an access mode and flags of its own. Empty where the
/// system has no such door.
unique_handle open_again(int descriptor, int flags) noexcept;

/// Takes one pending signal of the set, if there is any.
void take_pending(const sigset_t& signals) noexcept;

/// Copies the caller alone and runs none of its handlers of fork, where that is possible.
pid_t fork() noexcept;

/// Where a child without a call that closes all may stop to close: above it nothing is open. 0: not
/// known, or not needed.
int close_limit() noexcept;

/// Bytes in a unit of ru_maxrss.
extern const std::size_t resident_unit;

// For the child as well: no allocation, no lock, no state. It may share the caller's memory.

[[noreturn]] void exit(int code) noexcept;
ssize_t write(int descriptor, const void* data, std::size_t size) noexcept;
int open(const char* path, int flags) noexcept;
int close(int descriptor) noexcept;

/// To the first free number from `lowest` on, closed on exec.
int duplicate_above(int descriptor, int lowest) noexcept;
/// The copy, of another number, stays open on exec.
int duplicate_to(int descriptor, int target) noexcept;
int keep_on_exec(int descriptor) noexcept;

/// False where there is no such call, or for this range.
bool close_range(unsigned first, unsigned last) noexcept;
/// Closes, without it, all from 3 up that the plan does not keep.
void close_one_by_one(const child_plan& plan) noexcept;

int change_directory(const char* path) noexcept;
int set_umask(int mask) noexcept;
int new_session() noexcept;
int set_group(int group) noexcept;

int highest_signal() noexcept;
/// Neither the default nor ignored.
bool has_handler(int number) noexcept;
void set_default(int number) noexcept;
/// Of this thread; either may be null.
int set_mask(const sigset_t* wanted, sigset_t* old) noexcept;

/// The real, the effective and the saved ids of the child.
int set_groups(std::size_t count, const gid_t* groups) noexcept;
int set_gid(gid_t id) noexcept;
int set_uid(uid_t id) noexcept;
int group_count() noexcept;
bool has_gid(gid_t id) noexcept;
bool has_uid(uid_t id) noexcept;

/// Carries them out in their order; of one that fails the errno, and in `where` which it was.
int set_limits(const limit_steps& limits, int& where) noexcept;

/// The child dies with the caller. Returns an errno.
int bind_to_parent(pid_t parent) noexcept;

int execute(const char* path, const char* const* argv, const char* const* envp) noexcept;

} // namespace subproc::detail::sys
