#include "job.hpp"

#include <cstddef>
#include <memory>

namespace SUBPROC_NAMESPACE::detail {
namespace {

bool set_limits(HANDLE handle, DWORD flags) noexcept {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags = flags;
  return ::SetInformationJobObject(handle, JobObjectExtendedLimitInformation, &limits,
                                   sizeof limits) != 0;
}

} // namespace

job job::make(bool ends_with_us) {
  job made;
  made.handle_.reset(::CreateJobObjectW(nullptr, nullptr));
  if (!made || (ends_with_us && !set_limits(made.get(), JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE))) {
    throw system_error(last_error(), "job object");
  }
  return made;
}

error_code job::terminate(unsigned code) noexcept {
  return ::TerminateJobObject(get(), code) ? error_code() : last_error();
}

bool job::empty() const noexcept {
  JOBOBJECT_BASIC_ACCOUNTING_INFORMATION counts{};
  return ::QueryInformationJobObject(get(), JobObjectBasicAccountingInformation, &counts,
                                     sizeof counts, nullptr) &&
         counts.ActiveProcesses == 0;
}

std::vector<int> job::members() const {
  std::vector<int> ids;
  for (std::size_t room = 64;; room *= 2) {
    const std::size_t bytes = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + room * sizeof(ULONG_PTR);
    const auto memory = std::make_unique<std::byte[]>(bytes);
    auto* const list = reinterpret_cast<JOBOBJECT_BASIC_PROCESS_ID_LIST*>(memory.get());
    if (::QueryInformationJobObject(get(), JobObjectBasicProcessIdList, list,
                                    static_cast<DWORD>(bytes), nullptr)) {
      for (DWORD i = 0; i < list->NumberOfProcessIdsInList; ++i) {
        ids.push_back(static_cast<int>(list->ProcessIdList[i]));
      }
      return ids;
    }
    if (::GetLastError() != ERROR_MORE_DATA) {
      return ids;
    }
  }
}

void job::let_go() noexcept {
  if (handle_) {
    set_limits(get(), 0);
    handle_.reset();
  }
}

void job::keep() noexcept { static_cast<void>(handle_.release()); }

} // namespace subproc::detail
