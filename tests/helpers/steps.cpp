// Does what its arguments say, one after the other; a test orders its events with them.
//
//   out:N err:N   write N bytes whose values tell their place (pattern() of the tests)
//   say:T warn:T  write T and a newline to stdout, to stderr
//   print:T eprint:T  the same without a newline
//   zeros:N       write N zero bytes to stdout
//   seq:N eseq:N  write the numbers from 1 to N, one a line, to stdout, to stderr
//   both:N        write them to stdout and stderr by turns
//   yes           write lines for ever
//   read:N        read N bytes of stdin, or to its end
//   echo echo:N   copy stdin to stdout, to its end, or N bytes of it
//   count         read stdin to its end, write how many bytes it had to stdout
//   byte:FD       read one byte, or the end of the file, from a descriptor
//   close:FD      close a descriptor
//   ignore:S raise:S  ignore a signal, send one to itself
//   exit:N        end with a code
//   stay          live until somebody ends it
//   cwd env:NAME  write the working directory, a variable, and a newline

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <signal.h>

// The platform's: in tests/posix or tests/windows.
#include "raw_streams.hpp"

namespace {

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const long n = raw::write_some(fd, data, size < 65536 ? size : 65536);
    if (n < 0) {
      return false;
    }
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool write_pattern(int fd, std::size_t size) {
  static char block[251 * 256];
  for (std::size_t i = 0; i < sizeof block; ++i) {
    block[i] = static_cast<char>(i % 251);
  }
  for (std::size_t done = 0; done < size;) {
    const std::size_t n = size - done < sizeof block ? size - done : sizeof block;
    if (!write_all(fd, block, n)) {
      return false;
    }
    done += n;
  }
  return true;
}

// The numbers from 1 to `last`, in whole pages, which fill a pipe; to both streams: by turns.
bool write_numbers(long long last, bool to_out, bool to_err) {
  std::string part;
  for (long long number = 1; number <= last; ++number) {
    part += std::to_string(number) + '\n';
    if (part.size() >= 4096 || number == last) {
      const std::size_t size = number == last ? part.size() : 4096;
      if ((to_out && !write_all(1, part.data(), size)) ||
          (to_err && !write_all(2, part.data(), size))) {
        return false;
      }
      part.erase(0, size);
    }
  }
  return true;
}

// The number of bytes that were there.
std::size_t read_up_to(std::size_t most, bool copy) {
  static char buffer[65536];
  std::size_t done = 0;
  while (done < most) {
    const std::size_t want = most - done < sizeof buffer ? most - done : sizeof buffer;
    const long n = raw::read_some(0, buffer, want);
    if (n <= 0 || (copy && !write_all(1, buffer, static_cast<std::size_t>(n)))) {
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

bool step(const std::string& verb, const std::string& value) {
  const long long number = std::atoll(value.c_str());
  const int small = static_cast<int>(number);
  if (verb == "out" || verb == "err") {
    return write_pattern(verb == "out" ? 1 : 2, static_cast<std::size_t>(number));
  }
  if (verb == "say" || verb == "warn") {
    const std::string line = value + '\n';
    return write_all(verb == "say" ? 1 : 2, line.data(), line.size());
  }
  if (verb == "print" || verb == "eprint") {
    return write_all(verb == "print" ? 1 : 2, value.data(), value.size());
  }
  if (verb == "zeros") {
    const std::string zeros(static_cast<std::size_t>(number), '\0');
    return write_all(1, zeros.data(), zeros.size());
  }
  if (verb == "seq" || verb == "eseq" || verb == "both") {
    return write_numbers(number, verb != "eseq", verb != "seq");
  }
  if (verb == "yes") {
    while (write_all(1, "y\n", 2)) {
    }
    return false;
  }
  if (verb == "read") {
    read_up_to(static_cast<std::size_t>(number), false);
    return true;
  }
  if (verb == "echo") {
    read_up_to(value.empty() ? static_cast<std::size_t>(-1) : static_cast<std::size_t>(number),
               true);
    return true;
  }
  if (verb == "count") {
    const std::string text = std::to_string(read_up_to(static_cast<std::size_t>(-1), false));
    return write_all(1, text.data(), text.size());
  }
  if (verb == "byte") {
    char byte = 0;
    raw::read_some(small, &byte, 1);
    return true;
  }
  if (verb == "close") {
    return raw::close_stream(small);
  }
  if (verb == "ignore") {
    return signal(small, SIG_IGN) != SIG_ERR;
  }
  if (verb == "raise") {
    return raise(small) == 0;
  }
  if (verb == "exit") {
    raw::exit_now(small);
  }
  if (verb == "stay") {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::hours(1)); // until it is ended: no test waits for it
    }
  }
  if (verb == "cwd" || verb == "env") {
    const char* const variable = verb == "env" ? std::getenv(value.c_str()) : nullptr;
    const std::string line = (verb == "cwd"         ? raw::working_directory()
                              : variable != nullptr ? std::string(variable)
                                                    : std::string()) +
                             '\n';
    return write_all(1, line.data(), line.size());
  }
  return false;
}

} // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t colon = argument.find(':');
    const std::string value = colon == std::string::npos ? "" : argument.substr(colon + 1);
    if (!step(argument.substr(0, colon), value)) {
      std::fprintf(stderr, "steps: %s: %s\n", argv[i], std::strerror(errno));
      return 99;
    }
  }
  return 0;
}
