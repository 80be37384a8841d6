// Writes every audit event as one line of JSON. Bytes that are no UTF-8 are written as Python's
// "surrogateescape" has them (0xFF is "\udcff"): json.loads and os.fsencode give them back.

#include <subproc/subproc.hpp>

#include <asio/io_context.hpp>

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace {

// The length of the UTF-8 character at the front, 0 when there is none.
std::size_t character_size(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  const std::size_t size = lead < 0xC2 || lead > 0xF4 ? 0 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return 0;
    }
  }
  // Longer than needed, half of a pair, beyond the last.
  const unsigned next = byte(1);
  const bool wrong = (lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F) ||
                     (lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F);
  return wrong ? 0 : size;
}

std::string string(std::string_view text) {
  std::string json = "\"";
  const auto escape = [&json](unsigned code) {
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\u%04x", code);
    json += buffer;
  };
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const auto byte = static_cast<unsigned char>(text.front());
    if (size == 0) {
      escape(0xDC00U + byte);
    } else if (byte < 0x20 || byte == 0x7F) {
      escape(byte);
    } else {
      if (byte == '"' || byte == '\\') {
        json += '\\';
      }
      json += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return json + '"';
}

std::string json_line(const subproc::audit_event& event) {
  std::string json = "{\"event\":" + string(to_string(event.kind));
  const auto member = [&json](const char* name, const std::string& value) {
    json += ",\"" + std::string(name) + "\":" + value;
  };
  if (event.kind != subproc::audit_kind::hook_added) {
    member("id", std::to_string(event.id));
  }
  if (event.pid >= 0) {
    member("pid", std::to_string(event.pid));
  }
  if (event.kind == subproc::audit_kind::spawn) {
    member("executable", string(event.executable()));
    std::string args;
    for (const std::string& arg : event.args()) {
      args += (args.empty() ? "" : ",") + string(arg);
    }
    member("args", '[' + args + ']');
    member("cwd", event.cwd() ? string(*event.cwd()) : "null");
    std::string env;
    for (const std::string& variable :
         event.env() ? event.env()->resolve() : std::vector<std::string>()) {
      env += (env.empty() ? "" : ",") + string(variable);
    }
    member("env", event.env() ? '[' + env + ']' : "null");
  }
  if (event.error) {
    member("error", string(event.error->what()));
  }
  if (event.kind == subproc::audit_kind::exited) {
    const auto code = event.status.returncode();
    member("returncode", code ? std::to_string(*code) : "null");
    member("user_us", std::to_string(event.usage.user_time.count()));
    member("max_resident_bytes", std::to_string(event.usage.max_resident_bytes));
    member("elapsed_ns", std::to_string(event.elapsed.count()));
  }
  return json + '}';
}

} // namespace

int main() {
  static std::mutex mutex; // hooks are called on several threads at once
  static std::string log;
  subproc::add_audit_hook([](const subproc::audit_event& event) {
    const std::string line = json_line(event) + '\n';
    const std::lock_guard lock(mutex);
    log += line;
    std::fwrite(line.data(), 1, line.size(), stdout); // one call a line
  });

  subproc::call(
      subproc::command("true", "quo\"te \\", "\n\x1b", "gr\xC3\xBC\xC3\x9F", "\xFF\xC0\xAF")
          .cwd("/")
          .env({{"A", "b"}}));
  try {
    subproc::call({"no-such-program"});
  } catch (const subproc::spawn_error&) {
  }

  const auto logged = [](std::string_view text) { return log.find(text) != std::string::npos; };
  const bool right =
      logged("{\"event\":\"subprocess.Popen\",\"id\":1,\"executable\":\"true\",\"args\":[\"true\","
             "\"quo\\\"te \\\\\",\"\\u000a\\u001b\",\"gr\xC3\xBC\xC3\x9F\",\"\\udcff\\udcc0"
             "\\udcaf\"],\"cwd\":\"/\",\"env\":[\"A=b\"]}\n") &&
      logged("{\"event\":\"subproc.started\",\"id\":1,\"pid\":") && logged("\"returncode\":0,") &&
      logged("{\"event\":\"subproc.failed\",\"id\":2,\"error\":\"cannot start 'no-such-program'");
  return right ? 0 : 1;
}
