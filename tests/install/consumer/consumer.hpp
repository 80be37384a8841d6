#pragma once

// What must survive the way into another project: headers, the library, coroutines, and that an
// error of Asio's own made inside the library is the same error here. Each of these uses one of the
// libraries; those that are not linked are not called.

bool works_on_asio();
bool works_on_boost();
bool works_with_boost_process();
