// Ends in ways of Windows: leaves CODE for an exit code of 32 bits.

#include <cstdlib>

#include <windows.h>

int main(int argc, char** argv) {
  ::ExitProcess(argc > 1 ? static_cast<UINT>(std::strtoul(argv[1], nullptr, 0)) : 0);
}
