// What Boost.Process 1.81 declares in its headers and defines only for separate compilation.
#include <boost/container_hash/hash.hpp>
#include <boost/optional.hpp>
#include <boost/type_traits/decay.hpp>
#include <boost/type_traits/remove_pointer.hpp>
#include <filesystem>

#include <boost/process/v2/impl/environment.ipp>
