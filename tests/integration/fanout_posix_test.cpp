// fanout with signals, descriptors, limits and shells.

#include <subproc/process.hpp>
#include <subproc/run.hpp>

#include "children.hpp"
#include "fanout_command.hpp"

#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;
using namespace subproc;
using namespace subproc::test;

namespace {

// By which jobs tell the test something.
class fifo {
public:
  fifo()
      : path_((std::filesystem::temp_directory_path() /
               ("subproc-fanout-" + std::to_string(::getpid())))
                  .string()) {
    REQUIRE(::mkfifo(path_.c_str(), 0600) == 0);
  }
  fifo(const fifo&) = delete;
  fifo& operator=(const fifo&) = delete;
  ~fifo() { ::unlink(path_.c_str()); }

  const std::string& path() const noexcept { return path_; }

  // All that one writer writes: both opening and the end of the file wait for it.
  std::string told() const {
    std::ifstream from(path_);
    return std::string(std::istreambuf_iterator<char>(from), {});
  }

private:
  std::string path_;
};

} // namespace

TEST_SUITE("fanout") {

  TEST_CASE("fanout: checksums of a tree equal those of find -exec") {
    const char* tree = "/usr/include/asio";
    const std::string expected =
        check_output({"find", tree, "-type", "f", "-exec", "sha256sum", "{}", "+"});
    const std::string got =
        check_output({"sh", "-c", "find \"$1\" -type f -print0 | \"$0\" -0 -k sha256sum",
                      fanout_program(), tree});
    CHECK(got == expected);
  }

  TEST_CASE("fanout: its memory is that of few items, however many come") {
    const auto memory = [](int items) {
      const completed_process done =
          run(command("sh", "-c",
                      "export ASAN_OPTIONS=\"$ASAN_OPTIONS:quarantine_size_mb=1\"; "
                      "seq \"$2\" | \"$0\" -k \"$1\"",
                      fanout_program(), helper("nothing"), std::to_string(items)));
      CHECK(done.status.success());
      return done.usage.max_resident_bytes; // of the largest of them, which is fanout
    };
    const auto few = memory(100);
    // A sanitizer keeps some of what was freed for a while.
    CHECK(memory(times(20'000)) < few + (sanitized ? 16 << 20 : 4 << 20));
  }

  TEST_CASE("fanout: closed standard descriptors are not taken by fanout's own") {
    const auto exit_code = [](const char* script) {
      return run(command("sh", "-c", script, fanout_program()).capture_output()).status.exit_code();
    };
    CHECK(exit_code("\"$0\" echo ::: a >&-") == 255);
    CHECK(exit_code("\"$0\" echo <&-") == 255);
    CHECK(exit_code("\"$0\" sh -c 'echo {} >&2' ::: a 2>&-") == 0);
  }

  TEST_CASE("fanout: a stdout that somebody made non-blocking gets everything") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    unique_handle from(ends[0]);
    unique_handle to(ends[1]);
    asio::io_context context;
    process child(context, command(fanout_program(), "head", "-c", "10000000", ":::", "/dev/zero")
                               .in(null)
                               .out(fd(to.get())));
    REQUIRE(::fcntl(to.get(), F_SETFL, O_NONBLOCK) == 0); // after the start, which clears it
    to.reset();
    std::size_t total = 0;
    char buffer[4096];
    for (ssize_t n; (n = ::read(from.get(), buffer, sizeof buffer)) > 0;) {
      total += static_cast<std::size_t>(n);
    }
    CHECK(total == 10000000);
    CHECK(child.wait().success());
  }

  TEST_CASE("fanout: more jobs than descriptors wait, they do not fail") {
    const completed_process done =
        run(command("sh", "-c", "ulimit -n 20; seq 40 | \"$0\" -j50 echo", fanout_program())
                .capture_output());
    CHECK(done.status.success());
    CHECK(std::count(done.out.begin(), done.out.end(), '\n') == 40);
    CHECK(done.err.find("ulimit -n") != std::string::npos);
  }

  TEST_CASE("fanout: a dry run of an endless input ends at a signal") {
    const command endless = fanout("-0", "--dry-run", "echo").in(file("/dev/zero"));
    CHECK(signalled(SIGTERM, endless).status.exit_code() == 143);
  }

  TEST_CASE("fanout: a reader of stdout that stalls holds up no time-out and no signal") {
    const leak_check leaks;
    const fifo life;
    const test_pipe out; // from which nobody reads
    asio::io_context context;
    const char* const script = "case $1 in 1) head -c 200000 /dev/zero;;"
                               "2) exec 3>\"$0\"; echo up >&3; exec sleep 600;; esac";
    process child(context, command(fanout_program(), "-j2", "-q", "--timeout", "0.3", "sh", "-c",
                                   script, life.path(), "{}", ":::", "1", "2")
                               .in(null)
                               .out(fd(out.write_end.get())));
    CHECK(life.told() == "up\n"); // and then it was killed
    CHECK(eventually([&] {
      child.send_signal(SIGTERM);
      return child.poll().has_value();
    }));
    CHECK(child.returncode() == 143);
  }

  TEST_CASE("fanout: the first SIGINT lets jobs clean up, the second kills") {
    const leak_check leaks;
    const fifo jobs;
    asio::io_context context;
    const auto start = [&](const std::string& on_term) {
      const std::string script =
          "trap '" + on_term + "' TERM; echo ready >\"$0\"; while :; do sleep 0.1; done";
      process child(context, fanout("--grace", "600", "sh", "-c", script, ":::", jobs.path()));
      CHECK(jobs.told() == "ready\n");
      return child;
    };

    process polite = start("echo cleaned up; exit 0");
    polite.send_signal(SIGINT);
    const communicate_result result = polite.communicate();
    CHECK(result.out == "cleaned up\n");
    CHECK(result.err.find("interrupted") != std::string::npos);
    CHECK(result.status.exit_code() == 130);

    process hung_up = start("echo cleaned up; exit 0"); // its terminal was closed
    hung_up.send_signal(SIGHUP);
    const communicate_result after = hung_up.communicate();
    CHECK(after.out == "cleaned up\n");
    CHECK(after.status.exit_code() == 129);

    process hard = start("echo term >\"$0\""); // and lives on
    hard.send_signal(SIGINT);
    CHECK(jobs.told() == "term\n"); // two signals at once would be one
    hard.send_signal(SIGINT);
    CHECK(hard.wait().exit_code() == 130);
  }

  TEST_CASE("fanout: what a signal ended is tried again, if that was asked") {
    const own_folder folder;
    const auto count = [&](const auto&... args) {
      std::filesystem::remove(folder.path() / "tries");
      run(fanout("-q", "-j1", "--timeout", "0.2", args..., "--shell", "echo x >>tries; eval {}",
                 ":::", "exit 1", "kill -9 $$", "exec sleep 600", "exit 0")
              .cwd(folder.path()));
      std::ifstream from(folder.path() / "tries");
      const std::string text(std::istreambuf_iterator<char>(from), {});
      return std::count(text.begin(), text.end(), '\n');
    };
    CHECK(count() == 4);
    CHECK(count("--retries", "2") == 10);
    CHECK(count("--retries", "2", "--retry-on", "timeout") == 6);
    CHECK(count("--retries", "1", "--retry-on", "signal,status") == 6);
    CHECK(count("--retries", "3", "--retry-on", "spawn", "--retry-delay", "600") == 4);
    const completed_process told = run(fanout("--retries", "2", "false", ":::", "a"));
    CHECK(told.err.find("(try 3)") != std::string::npos);
    CHECK(told.status.exit_code() == 1);
  }

  TEST_CASE("fanout: each try may have more, in a limit or in a variable") {
    const char* const script = "echo $(ulimit -v) $as $PARTS; [ $FANOUT_TRY = 4 ]";
    const auto told = [&](const auto&... args) {
      const completed_process done =
          run(fanout("-q", "--line-buffer", args..., "sh", "-c", script, ":::", "x"));
      return std::pair(done.out, done.status.exit_code());
    };
    CHECK(told("--limit", "as=1G", "--retry-with", "as=2G,4G", "--retries", "3", "--retry-with",
               "PARTS=a,b,c") ==
          std::pair(std::string("2097152 2G a\n4194304 4G b\n4194304 4G c\n4194304 4G c\n"),
                    std::optional<long long>(0)));
    // Without --retries as many tries as there are values.
    CHECK(told("--retry-with", "PARTS=1,2,3").second == 1);
    CHECK(told("--retry-with", "PARTS=1,2,3,4").second == 0);
  }

  TEST_CASE("fanout: a time-out may be a share of the median") {
    const completed_process done =
        run(fanout("-j1", "--timeout", "2000%", "sleep", ":::", "0.01", "0.01", "0.01", "600"));
    CHECK(done.status.exit_code() == 1);
    CHECK(done.err.find("killed, it took more than") != std::string::npos);
  }

  TEST_CASE("fanout: nothing starts while memory or processors are short") {
    const communicate_result done = signalled(
        SIGTERM, fanout("--bar", "--memfree", "1000000G", "echo", ":::", "a"), 2); // by its bar
    CHECK(done.out == "");
    CHECK(done.status.exit_code() == 143);
    CHECK(run(fanout("--memfree", "1K", "--load", "100000", "echo", ":::", "a")).out == "a\n");
  }

  TEST_CASE("fanout: limits, niceness and folder are the jobs'") {
    CHECK(run(fanout("--limit", "nofile=77", "--limit", "core=0", "sh", "-c",
                     "ulimit -n; ulimit -c", ":::", "x"))
              .out == "77\n0\n");
    const int nice = std::min(19, ::getpriority(PRIO_PROCESS, 0) + 7);
    CHECK(run(fanout("--nice", "7", "sh", "-c", "nice", ":::", "x")).out ==
          std::to_string(nice) + '\n');
    CHECK(run(fanout("--workdir", "/", "--shell", "pwd", ":::", "")).out == "/\n");
  }

  TEST_CASE("fanout: SIGUSR1 and SIGUSR2 change how many run at once") {
    const leak_check leaks;
    const fifo told;
    asio::io_context context;
    // The first lets the second in by a signal, and ends with it.
    const std::string script =
        "case $1 in 1) kill -USR2 $PPID; kill -USR1 $PPID; kill -USR1 $PPID; "
        "read x <\"$2\";; 2) echo >\"$2\";; esac";
    const completed_process done =
        run(fanout("-j1", "sh", "-c", script, "fanout", "{}", told.path(), ":::", "1", "2")
                .timeout(50s));
    CHECK(done.status.success());
  }

  TEST_CASE("fanout: with --adaptive all is run") {
    if (!std::filesystem::exists("/proc/pressure/memory")) {
      CHECK(run(fanout("--adaptive", "echo", ":::", "a")).status.exit_code() == 255);
      return;
    }
    CHECK(run(fanout("-k", "--adaptive", "-j4", "echo", ":::", "a", "b", "c")).out == "a\nb\nc\n");
  }

  TEST_CASE("fanout: bash completes its options, then the command, then files") {
    const own_folder folder;
    folder.write("some file", "");
    const auto completed = [&](const std::string& words) {
      return run(command("bash", "-c",
                         "eval \"$(\"$0\" --completion bash)\"; COMP_WORDS=(" + words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _fanout; "
                             "printf '%s\\n' \"${COMPREPLY[@]}\"",
                         fanout_program())
                     .capture_output()
                     .cwd(folder.path()))
          .out;
    };
    CHECK(completed("fanout --jo") == "--jobs\n--joblog\n");
    CHECK(completed("fanout -j 2 --key") == "\n");
    CHECK(completed("fanout --keep-o") == "--keep-order\n");
    CHECK(completed("fanout --jobs ''") == "\n");
    CHECK(completed("fanout --joblog so") == "some file\n");
    CHECK(completed("fanout -j 2 -k ech").find("echo\n") != std::string::npos);
    CHECK(completed("fanout -j 2 cat so") == "some file\n");
  }

  TEST_CASE("fanout: with --shell too an item with a NUL byte fails alone") {
    const completed_process done = run(command(fanout_program(), "-k", "--shell", "echo")
                                           .input(std::string("a\0b\nc\n", 6))
                                           .capture_output());
    CHECK(done.out == "c\n");
    CHECK(done.status.exit_code() == 1);
  }

  TEST_CASE("fanout: items that cannot be read are an error of its own") {
    const unique_handle folder(::open("/", O_RDONLY | O_CLOEXEC));
    const completed_process unreadable = run(fanout("echo").in(fd(folder.get())));
    CHECK(unreadable.status.exit_code() == 255);
    CHECK(unreadable.err.find("cannot read the items") != std::string::npos);
  }

  TEST_CASE("fanout: the value of a try is a placeholder of its command") {
    CHECK(run(fanout("-q", "--line-buffer", "--retry-with", "N=1,2,3", "sh", "-c",
                     "echo $0 $1 $N; [ $0 = 3 ]", "{N}", ":::", "a"))
              .out == "1 a 1\n2 a 2\n3 a 3\n");
    CHECK(run(fanout("--dry-run", "--retry-with", "N=1 b,2", "echo", "<{N}>", "{M}", "{}",
                     ":::", "a"))
              .out == "echo '<1 b>' '{M}' a\n");
    // A shell's own.
    CHECK(run(fanout("--shell", "--retry-with", "N=1 b,2", "N=mine; echo ${N} {N}", ":::", "a"))
              .out == "mine 1 b a\n");
    CHECK(printed("N\nx\n", "--header", "--retry-with", "N=1,2", "echo", "{N}") == "echo x\n");

    // What its log says of the command is that of its last try.
    const own_folder folder;
    for (const char* how : {"-q", "--resume"}) {
      const completed_process done =
          run(fanout(how, "--joblog", folder / "log", "--retry-with", "N=1,2", "sh", "-c",
                     "echo {N}; [ {N} = 2 ]", ":::", "a"));
      CHECK(done.status.success());
      CHECK(done.out.empty() == (how == std::string("--resume")));
    }
  }
} // TEST_SUITE
