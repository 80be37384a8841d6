// Looks at its own handles.
//
//   handles pipes   prints how many of them are pipes, its streams among them

#include <cstdint>
#include <cstdio>

#include <windows.h>

int main() {
  int pipes = 0;
  for (std::uintptr_t value = 4; value < 8192; value += 4) {
    pipes += ::GetFileType(reinterpret_cast<HANDLE>(value)) == FILE_TYPE_PIPE ? 1 : 0;
  }
  std::printf("%d\n", pipes);
}
