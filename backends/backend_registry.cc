// Which backends this build has, and which one a name means. The build system
// says so with WEIR_HAVE_<BACKEND> and WEIR_DEFAULT_BACKEND.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weir/backends.h"
#if WEIR_HAVE_EPOLL
#include "backends/epoll/epoll_backend.h"
#endif
#if WEIR_HAVE_IO_URING
#include "backends/io_uring/io_uring_backend.h"
#endif
#if WEIR_HAVE_IOCP_OVERLAPPED || WEIR_HAVE_IOCP_PSN
#include "backends/iocp/iocp_backend.h"
#endif

namespace weir {
namespace {

using Factory =
    absl::StatusOr<std::unique_ptr<Backend>> (*)(const BackendOptions&);

struct Entry {
  std::string_view name;
  Factory create;
};

// Best first: the order in which "auto" tries them.
constexpr Entry kBackends[] = {
#if WEIR_HAVE_IO_URING
    {"io_uring", internal::CreateIoUringBackend},
#endif
#if WEIR_HAVE_EPOLL
    {"epoll", internal::CreateEpollBackend},
#endif
#if WEIR_HAVE_IOCP_OVERLAPPED
    {"iocp-overlapped", internal::CreateIocpOverlappedBackend},
#endif
#if WEIR_HAVE_IOCP_PSN
    {"iocp-psn", internal::CreateIocpPsnBackend},
#endif
};

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

// Names where readiness comes from, if that is not the same everywhere.
void SetReason(std::string* reason, std::string text, const Backend& backend) {
  if (reason == nullptr) return;
  const std::string_view source = backend.capabilities().readiness_source;
  *reason = source.empty()
                ? std::move(text)
                : absl::StrCat(text, "; readiness by ", View(source));
}

// The first that works. Of those before it, the reason tells why they do not.
absl::StatusOr<std::unique_ptr<Backend>> CreateBest(
    const BackendOptions& options, std::string* reason) {
  std::string refusals;
  absl::Status last = absl::UnavailableError("this build has no backend");
  for (const Entry& entry : kBackends) {
    auto backend = entry.create(options);
    if (backend.ok()) {
      SetReason(reason,
                refusals.empty()
                    ? absl::StrCat("auto: ", View(entry.name),
                                   " has everything it needs here")
                    : absl::StrCat("auto: ", View(entry.name), ", because ",
                                   refusals),
                **backend);
      return backend;
    }
    last = backend.status();
    absl::StrAppend(&refusals, refusals.empty() ? "" : "; ",
                    View(entry.name), " is not usable: ", last.message());
    // Another mechanism would meet the same want.
    if (absl::IsResourceExhausted(last)) break;
  }
  return last;
}

}  // namespace

std::vector<std::string_view> CompiledBackends() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kBackends) names.push_back(entry.name);
  return names;
}

std::string_view DefaultBackend() { return WEIR_DEFAULT_BACKEND; }

absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
    std::string_view name, const BackendOptions& options,
    std::string* reason) {
  if (options.threads < 1 || options.max_events < 1) {
    return absl::InvalidArgumentError(
        "create backend: threads and max_events must be at least 1");
  }
  const bool by_default = name.empty();
  if (by_default) name = DefaultBackend();
  if (name == "auto") return CreateBest(options, reason);
  for (const Entry& entry : kBackends) {
    if (entry.name != name) continue;
    auto backend = entry.create(options);
    if (!backend.ok()) return backend;
    SetReason(reason,
              absl::StrCat(View(name), ": ",
                           by_default ? "the default of this build"
                                      : "asked for by name"),
              **backend);
    return backend;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "create backend: there is no backend \"", View(name),
      "\" in this build; there are: auto, ",
      absl::StrJoin(CompiledBackends(), ", ",
                    [](std::string* out, std::string_view compiled) {
                      absl::StrAppend(out, View(compiled));
                    })));
}

}  // namespace weir
