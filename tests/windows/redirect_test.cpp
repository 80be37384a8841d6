#include <subproc/memory_file.hpp>
#include <subproc/run.hpp>

#include "support.hpp"

#include <asio/io_context.hpp>

#include <fstream>
#include <sstream>

using namespace subproc;
using namespace subproc::test;

namespace {

/// A file's name, and its end.
struct scratch_file {
  scratch_file() : path(fresh_path()) {}
  ~scratch_file() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }

  std::string text() const {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream all;
    all << stream.rdbuf();
    return all.str();
  }

  std::string path;
};

command says(const char* what) { return command(helper("steps"), std::string("say:") + what); }

command echoes() { return command(helper("steps"), "echo").out(piped); }

} // namespace

TEST_SUITE("windows: redirects") {
  TEST_CASE("windows: a file is truncated, appended to, read, made anew") {
    const scratch_file made;
    run(says("one").out(file(made.path)));
    CHECK(made.text() == "one\n");
    run(says("two").out(file(made.path, open_mode::append)));
    run(command(helper("steps"), "warn:three").err(file(made.path, open_mode::append)));
    CHECK(made.text() == "one\ntwo\nthree\n");
    CHECK(run(echoes().in(file(made.path))).out == "one\ntwo\nthree\n");
    const spawn_error exists =
        spawn_error_of([&] { run(says("four").out(file(made.path, open_mode::create_new))); });
    CHECK(exists.code() == std::errc::file_exists);
    CHECK(exists.step() == spawn_step::open);
    CHECK(exists.path() == made.path);
    run(says("X").out(file(made.path, open_mode::read_write)));
    CHECK(made.text() == "X\ne\ntwo\nthree\n");
    run(says("five").out(file(made.path, open_mode::truncate)));
    CHECK(made.text() == "five\n");
  }

  TEST_CASE("windows: a file is given by a path, of any characters") {
    const std::filesystem::path path(std::filesystem::path(fresh_path()) += L"\x00e9\x20ac");
    run(says("one").out(file(path)));
    run(says("two").out(file(path, open_mode::append)));
    CHECK(run(echoes().in(file(path))).out == "one\ntwo\n");
    std::filesystem::remove(path);
    const std::filesystem::path half(L"C:\\x\xd83d");
    const spawn_error error = spawn_error_of([&] { run(says("x").out(file(half))); });
    CHECK(error.step() == spawn_step::open);
    CHECK(error.path() == file(half).path);
    CHECK(error.code() == std::errc::illegal_byte_sequence);
  }

  TEST_CASE("windows: the null device reads as empty and swallows") {
    CHECK(run(echoes().in(null)).out.empty());
    CHECK(run(command(helper("steps"), "out:100000", "err:100000").out(null).err(null)).status ==
          exit_status::from_code(0));
  }

  TEST_CASE("windows: stderr goes where stdout goes") {
    CHECK(run(command(helper("steps"), "say:a", "warn:b").out(piped).err(merge)).out == "a\nb\n");
    const scratch_file made;
    run(command(helper("steps"), "say:a", "warn:b").out(file(made.path)).err(merge));
    CHECK(made.text() == "a\nb\n");
  }

  TEST_CASE("windows: bytes in memory are read from their beginning by each child") {
    const command cmd = echoes().in(memory("in memory"));
    CHECK(run(cmd).out == "in memory");
    CHECK(run(cmd).out == "in memory");
    CHECK(run(echoes().in(memory(""))).out.empty());
    const std::string large(3'000'000, 'm');
    CHECK(run(echoes().in(memory(large))).out == large);
    const unique_handle bytes = memory_file("by hand");
    CHECK_FALSE(is_inheritable(bytes.get()));
    CHECK_FALSE(write_all(bytes.get(), "x"));
    CHECK(read_all(bytes.get()) == "by hand");
  }

  TEST_CASE("windows: a handle of the caller's is lent and stays as it is") {
    const plain_pipe ends = make_plain_pipe();
    const unique_handle reader(ends.reader);
    unique_handle writer(ends.writer);
    CHECK_FALSE(is_inheritable(writer.get()));
    run(command(helper("steps"), "say:lent", "warn:too")
            .out(fd(writer.get()))
            .err(fd(writer.get())));
    CHECK_FALSE(is_inheritable(writer.get()));
    writer.reset();
    CHECK(read_all(reader.get()) == "lent\ntoo\n");
    const spawn_error error = spawn_error_of(
        [] { run(command(helper("steps")).in(fd(reinterpret_cast<native_handle_type>(0x7ff0)))); });
    CHECK(error.step() == spawn_step::arguments);
    CHECK(error.path() == "in");
    CHECK(error.code() == std::errc::bad_file_descriptor);
  }

  TEST_CASE("windows: a tee passes on to a file and to a pipe, blocking and on the loop") {
    const scratch_file made;
    completed_process done = run(command(helper("steps"), "out:200000").out(tee(file(made.path))));
    CHECK(done.out.size() == 200'000);
    CHECK(made.text() == done.out);

    const plain_pipe ends = make_plain_pipe();
    const unique_handle reader(ends.reader);
    unique_handle writer(ends.writer);
    std::string passed;
    std::thread other([&] { passed = read_all(reader.get()); });
    const command cmd = command(helper("steps"), "out:200000").out(tee(fd(writer.get())));
    SUBCASE("blocking") { done = run(cmd); }
    SUBCASE("on the loop") {
      asio::io_context context;
      async_run(context, command(cmd), [&](std::exception_ptr error, completed_process result) {
        CHECK(error == nullptr);
        done = std::move(result);
      });
      context.run();
    }
    writer.reset();
    other.join();
    CHECK_FALSE(done.out_tee_error);
    CHECK(passed == done.out);
    CHECK(passed.size() == 200'000);
  }

  TEST_CASE("windows: a sink that nobody reads ends the passing on, not the capture") {
    const plain_pipe ends = make_plain_pipe();
    unique_handle(ends.reader).reset();
    const unique_handle writer(ends.writer);
    const completed_process done =
        run(command(helper("steps"), "out:200000").out(tee(fd(writer.get()))));
    CHECK(done.out.size() == 200'000);
    CHECK(done.out_tee_error == std::errc::broken_pipe);
  }

  TEST_CASE("windows: a full sink is given up at the deadline, and the run is a success") {
    const plain_pipe ends = make_plain_pipe();
    const unique_handle reader(ends.reader);
    const unique_handle writer(ends.writer);
    const completed_process done = run(command(helper("steps"), "out:60000")
                                           .out(tee(fd(writer.get())))
                                           .timeout(std::chrono::seconds(3)));
    CHECK(done.out.size() == 60'000);
    CHECK(done.out_tee_error == std::errc::timed_out);
  }

  TEST_CASE("windows: a sink that cannot be written is refused before anything starts") {
    const plain_pipe ends = make_plain_pipe();
    const unique_handle reader(ends.reader);
    const unique_handle writer(ends.writer);
    const spawn_error error =
        spawn_error_of([&] { run(command(helper("steps"), "say:x").out(tee(fd(reader.get())))); });
    CHECK(error.step() == spawn_step::arguments);
    CHECK(error.path() == "out");
  }
}
