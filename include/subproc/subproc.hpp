#pragma once

/// All of subproc.

#include <subproc/async_source.hpp>
#include <subproc/audit.hpp>
#include <subproc/command.hpp>
#include <subproc/duration.hpp>
#include <subproc/environment.hpp>
#include <subproc/error.hpp>
#include <subproc/exit_status.hpp>
#include <subproc/for_each.hpp>
#include <subproc/launcher.hpp>
#include <subproc/limits.hpp>
#include <subproc/line_piece.hpp>
#include <subproc/lines.hpp>
#include <subproc/memory_file.hpp>
#include <subproc/newlines.hpp>
#include <subproc/pipe.hpp>
#include <subproc/pipeline.hpp>
#include <subproc/pool.hpp>
#include <subproc/pool_options.hpp>
#include <subproc/process.hpp>
#include <subproc/quote.hpp>
#include <subproc/redirect.hpp>
#include <subproc/result.hpp>
#include <subproc/result_stream.hpp>
#include <subproc/run.hpp>
#include <subproc/stop.hpp>
#include <subproc/wait.hpp>
#include <subproc/windows.hpp>
