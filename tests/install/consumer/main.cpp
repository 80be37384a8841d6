#include "consumer.hpp"

int main() {
  bool works = true;
#if defined(CONSUME_ASIO)
  works &= works_on_asio();
#endif
#if defined(CONSUME_BOOST)
  works &= works_on_boost();
#endif
#if defined(CONSUME_INTEROP)
  works &= works_with_boost_process();
#endif
  return works ? 0 : 1;
}
