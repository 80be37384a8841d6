// A tree of processes, one below the other, that live until somebody ends them.
//
//   tree DEPTH    starts DEPTH more below it; the last prints "ready" and its id once all are there

#include <cstdio>
#include <cstdlib>
#include <string>

#include <windows.h>

int main(int argc, char** argv) {
  const int depth = argc > 1 ? std::atoi(argv[1]) : 0;
  if (depth == 0) {
    std::printf("ready %lu\n", ::GetCurrentProcessId());
    std::fflush(stdout);
  } else {
    char path[MAX_PATH];
    ::GetModuleFileNameA(nullptr, path, MAX_PATH);
    std::string line = '"' + std::string(path) + "\" " + std::to_string(depth - 1);
    STARTUPINFOA startup{};
    startup.cb = sizeof startup;
    PROCESS_INFORMATION made{};
    if (!::CreateProcessA(path, line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &startup,
                          &made)) {
      std::printf("failed %lu\n", ::GetLastError());
      return 1;
    }
  }
  ::Sleep(INFINITE);
}
