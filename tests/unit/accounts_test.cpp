#include <posix/accounts.hpp>

#include <subproc/error.hpp>

#include "../printing.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace {

using namespace subproc;
using detail::caller_ids;
using detail::credentials;
using detail::resolve_accounts;
using test::spawn_error_of;
using ids = std::vector<unsigned>;

constexpr caller_ids root{0, 0, 0, 0};
constexpr caller_ids plain{1000, 1000, 1000, 1000};
constexpr long long nobody_has_this = 3999999999;

// An entry other than root, which every system has under one of these names.
const passwd& some_user() {
  for (const char* name : {"daemon", "nobody"}) {
    if (const passwd* entry = ::getpwnam(name)) {
      return *entry;
    }
  }
  throw std::runtime_error("neither daemon nor nobody is a user here");
}

void refuses(const command& cmd, const caller_ids& caller, const std::string& option,
             const std::string& reason) {
  const spawn_error error = spawn_error_of([&] { resolve_accounts(cmd, caller); });
  const std::string text = error.what();
  CAPTURE(text);
  CHECK(error.code() == std::errc::invalid_argument);
  CHECK(error.step() == spawn_step::arguments);
  CHECK(error.path() == option);
  CHECK(text.find(reason) != std::string::npos);
}

TEST_SUITE("accounts") {
  TEST_CASE("accounts: nothing asked, nothing set") {
    const credentials found = resolve_accounts(command("a"), root);
    CHECK_FALSE(found.uid.has_value());
    CHECK_FALSE(found.gid.has_value());
    CHECK_FALSE(found.groups.has_value());
  }

  TEST_CASE("accounts: numbers are taken as they are") {
    const credentials found = resolve_accounts(
        command("a").user(nobody_has_this).group(4294967294LL).extra_groups({5, 6, 5}), root);
    CHECK(found.uid == 3999999999U);
    CHECK(found.gid == 4294967294U);
    CHECK(found.groups == ids{5, 6, 5});
  }

  TEST_CASE("accounts: names are looked up") {
    const std::string user = some_user().pw_name;
    const unsigned uid = some_user().pw_uid;
    const std::string group = ::getgrgid(some_user().pw_gid)->gr_name;
    const unsigned gid = some_user().pw_gid;
    const credentials found =
        resolve_accounts(command("a").user(user).group(group).extra_groups({group, 7}), root);
    CHECK(found.uid == uid);
    CHECK(found.gid == gid);
    CHECK(found.groups == ids{gid, 7});
  }

  TEST_CASE("accounts: a name that nobody has is refused by its option") {
    refuses(command("a").user("no such user"), plain, "user", "there is no user 'no such user'");
    refuses(command("a").group("no such group"), plain, "group", "there is no group");
    refuses(command("a").extra_groups({0, "no such group"}), plain, "extra_groups",
            "there is no group 'no such group'");
    refuses(command("a").user("0"), plain, "user", "there is no user '0'");
  }

  TEST_CASE("accounts: ids that a kernel takes for 'leave it' are refused here too") {
    for (const long long bad : {-1LL, 4294967295LL, 4294967296LL}) {
      refuses(command("a").user(bad), plain, "user", std::to_string(bad));
      refuses(command("a").group(bad), plain, "group", std::to_string(bad));
      refuses(command("a").extra_groups({bad}), plain, "extra_groups", std::to_string(bad));
    }
  }

  TEST_CASE("accounts: root's user alone brings its primary group and no others") {
    const unsigned uid = some_user().pw_uid;
    const unsigned gid = some_user().pw_gid;
    for (const account& who :
         {account(static_cast<long long>(uid)), account(some_user().pw_name)}) {
      const credentials found = resolve_accounts(command("a").user(who), root);
      CHECK(found.uid == uid);
      CHECK(found.gid == gid);
      CHECK(found.groups == ids{});
    }
  }

  TEST_CASE("accounts: what root asks for beside the user stands") {
    const long long uid = some_user().pw_uid;
    credentials found = resolve_accounts(command("a").user(uid).group(77), root);
    CHECK(found.gid == 77U);
    CHECK(found.groups == ids{});
    found = resolve_accounts(command("a").user(uid).extra_groups({8}), root);
    CHECK(found.gid == some_user().pw_gid);
    CHECK(found.groups == ids{8});
  }

  TEST_CASE("accounts: root's user without an entry needs a group") {
    refuses(command("a").user(nobody_has_this), root, "user", "3999999999 has no entry");
    CHECK(resolve_accounts(command("a").user(nobody_has_this).group(5), root).gid == 5U);
  }

  TEST_CASE("accounts: a group alone keeps user and supplementary groups") {
    const credentials found = resolve_accounts(command("a").group(5), root);
    CHECK_FALSE(found.uid.has_value());
    CHECK_FALSE(found.groups.has_value());
  }

  TEST_CASE("accounts: an ordinary caller's groups are left alone") {
    const credentials found = resolve_accounts(command("a").user(nobody_has_this), plain);
    CHECK(found.uid == 3999999999U);
    CHECK_FALSE(found.gid.has_value());
    CHECK_FALSE(found.groups.has_value());
  }

  TEST_CASE("accounts: group 0 does not outlive a change of user, whoever asks") {
    const long long uid = some_user().pw_uid;
    const unsigned gid = some_user().pw_gid;
    CHECK(resolve_accounts(command("a").user(uid), {0, 1000, 0, 1000}).gid == gid);
    CHECK(resolve_accounts(command("a").user(uid), {1000, 1000, 1000, 0}).gid == gid);
    CHECK_FALSE(resolve_accounts(command("a").user(1000), {1000, 1000, 0, 0}).gid.has_value());
  }

  TEST_CASE("accounts: an empty list of groups drops all") {
    CHECK(resolve_accounts(command("a").extra_groups({}), plain).groups == ids{});
  }

  TEST_CASE("accounts: more groups than the kernel takes are refused") {
    const auto most = static_cast<std::size_t>(::sysconf(_SC_NGROUPS_MAX));
    const command many = command("a").extra_groups(std::vector<account>(most + 1, account(5)));
    refuses(many, root, "extra_groups", std::to_string(most) + " are possible");
    const command enough = command("a").extra_groups(std::vector<account>(most, account(5)));
    CHECK(resolve_accounts(enough, root).groups->size() == most);
  }

  TEST_CASE("accounts: the ids of this process are the default caller") {
    const long long own = ::getuid();
    CHECK(resolve_accounts(command("a").user(own)).uid == static_cast<unsigned>(own));
  }
}

} // namespace
