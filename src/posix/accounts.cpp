#include "accounts.hpp"

#include "../check.hpp"
#include "../text.hpp"

#include <subproc/error.hpp>

#include <cerrno>
#include <cstddef>
#include <string>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace SUBPROC_NAMESPACE::detail {
namespace {

constexpr std::size_t largest_entry = std::size_t{64} << 20U;

// Calls one of getpwnam_r(3) and its kin until the buffer is large enough. Of the entry only the
// numbers may be used, its strings end with the buffer.
template <class Entry, class Call>
std::optional<Entry> find_entry(const char* option, const std::string& what, Call call) {
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = call(&entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) {
      return entry;
    }
    if (error == ERANGE && buffer.size() < largest_entry) {
      buffer.resize(buffer.size() * 2);
    } else if (error == 0 || error == ENOENT || error == ESRCH) {
      return std::nullopt; // the manual allows each of them for "no such entry"
    } else if (error != EINTR) {
      throw spawn_error(error_code(error, detail::system_category()), spawn_step::arguments, option,
                        "cannot look up " + what);
    }
  }
}

std::optional<passwd> find_user(const account& who) {
  if (const auto* id = std::get_if<long long>(&who)) {
    return find_entry<passwd>("user", "user id " + std::to_string(*id), [&](auto... rest) {
      return ::getpwuid_r(static_cast<uid_t>(*id), rest...);
    });
  }
  const std::string& name = std::get<std::string>(who);
  return find_entry<passwd>("user", "user " + shown(name),
                            [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); });
}

// An entry may hold anything, also the number that means "leave it".
unsigned checked_id(const char* option, long long id) {
  check_account(option, account(id));
  return static_cast<unsigned>(id);
}

unsigned group_id(const char* option, const account& who) {
  check_account(option, who);
  if (const auto* id = std::get_if<long long>(&who)) {
    return static_cast<unsigned>(*id);
  }
  const std::string& name = std::get<std::string>(who);
  const auto entry = find_entry<group>(option, "group " + shown(name), [&](auto... rest) {
    return ::getgrnam_r(name.c_str(), rest...);
  });
  if (!entry) {
    refuse(option, "there is no group " + shown(name));
  }
  return checked_id(option, entry->gr_gid);
}

std::vector<unsigned> group_ids(const std::vector<account>& groups) {
  const long most = ::sysconf(_SC_NGROUPS_MAX);
  if (most >= 0 && groups.size() > static_cast<std::size_t>(most)) {
    refuse("extra_groups", std::to_string(groups.size()) + " groups are too many, " +
                               std::to_string(most) + " are possible");
  }
  std::vector<unsigned> ids;
  ids.reserve(groups.size());
  for (const account& group : groups) {
    ids.push_back(group_id("extra_groups", group));
  }
  return ids;
}

// Root's groups must not outlive root's user id: files and sockets of group 0 would stay open to
// the child. Half-dropped callers (seteuid, or a capability beside group 0) count as root too.
bool sheds_groups(unsigned uid, const caller_ids& caller) {
  const bool changes = caller.uid != uid || caller.effective_uid != uid;
  const bool root_group = caller.gid == 0 || caller.effective_gid == 0;
  return caller.effective_uid == 0 || (changes && root_group);
}

// systemd's User=: the group of the user's entry, and no others.
void add_user(credentials& ids, const account& who, const caller_ids& caller) {
  check_account("user", who);
  const auto* number = std::get_if<long long>(&who);
  const bool by_name = number == nullptr;
  std::optional<passwd> entry;
  if (by_name) {
    entry = find_user(who);
    if (!entry) {
      refuse("user", "there is no user " + shown(std::get<std::string>(who)));
    }
  }
  const unsigned uid = checked_id("user", by_name ? entry->pw_uid : *number);
  ids.uid = uid;
  if (!sheds_groups(uid, caller)) {
    return;
  }
  if (!ids.gid) {
    if (!entry) {
      entry = find_user(who);
    }
    if (!entry) {
      refuse("user", "user id " + std::to_string(uid) +
                         " has no entry to take the primary group from, give group as well");
    }
    ids.gid = checked_id("user", entry->pw_gid);
  }
  if (!ids.groups) {
    ids.groups.emplace();
  }
}

} // namespace

credentials resolve_accounts(const command& cmd) {
  return resolve_accounts(cmd, {::getuid(), ::geteuid(), ::getgid(), ::getegid()});
}

credentials resolve_accounts(const command& cmd, const caller_ids& caller) {
  credentials ids;
  if (cmd.group()) {
    ids.gid = group_id("group", *cmd.group());
  }
  if (cmd.extra_groups()) {
    ids.groups = group_ids(*cmd.extra_groups());
  }
  if (cmd.user()) {
    add_user(ids, *cmd.user(), caller);
  }
  return ids;
}

} // namespace subproc::detail
