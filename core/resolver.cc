#include "weir/resolver.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/mutex.h"
#include "platform/name_lookup.h"
#include "weir/status.h"

namespace weir {
namespace internal {

using Answer = absl::StatusOr<std::vector<SocketAddress>>;

// A lookup is a timer: set for its timeout from the beginning, if that is
// infinite too, and brought forward when there is an answer. So it is delivered
// through the loop, at most once, and goes with the loop if that goes first:
// a timer that is set is destroyed with it.
//
// What is not const belongs to whoever holds the state's mutex.
class ResolveQuery {
 public:
  ResolveQuery(std::shared_ptr<ResolverState> owner, std::string_view name,
               std::uint16_t wanted_port, const ResolveOptions& options,
               ResolveHandler resolve_handler)
      : state(std::move(owner)),
        host(name),
        port(wanted_port),
        family(options.family),
        timeout(options.timeout),
        handler(std::move(resolve_handler)) {}

  // Everything but OK: "resolve HOST: WORDS".
  absl::Status Failure(ErrorCause cause, absl::string_view words) const {
    const std::string message =
        absl::StrCat("resolve ", absl::CHexEscape(host), ": ", words);
    return StatusWithCause(CanonicalCodeOf(cause), cause, message);
  }

  const std::shared_ptr<ResolverState> state;
  const std::string host;
  const std::uint16_t port;
  const AddressFamily family;
  const absl::Duration timeout;

  // Empty: it is finished.
  ResolveHandler handler;
  std::optional<Answer> answer;
  // Its handler owns this query; a finished query has none.
  std::shared_ptr<Timer> timer;
  // Its place in the queue.
  std::optional<std::list<std::shared_ptr<ResolveQuery>>::iterator> queued;
};

// What the resolver, its threads and its lookups share.
//
// Nothing that can reach the application (a handler's or a timer's destructor,
// a call on the loop) happens with the mutex held.
class ResolverState {
 public:
  using QueryPtr = std::shared_ptr<ResolveQuery>;

  ResolverState(int threads, int max_queued, NameLookup lookup)
      : max_queued_(static_cast<std::size_t>(max_queued)),
        lookup_(std::move(lookup)),
        idle_(static_cast<std::size_t>(threads), true) {}

  // Begins `query`, which needs a thread unless it has an answer.
  absl::Status Begin(const QueryPtr& query, Timer timer);
  absl::Status Cancel(const QueryPtr& query);
  void CancelAll();

  // The timer's.
  void Deliver(const QueryPtr& query);
  void Abandon(const QueryPtr& query);

  // A thread's life.
  void Work(std::size_t index);
  // Work returns, once it has nothing to do. True, for each thread: it does so
  // without having to wait for a lookup.
  std::vector<bool> StopWork();

 private:
  // What is left of a query that is taken out, to be used and destroyed
  // without the mutex.
  struct Remains {
    ResolveHandler handler;
    std::optional<Answer> answer;
    std::shared_ptr<Timer> timer;
  };

  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return queue_.size() + reserved_ < max_queued_ + idle_.size() - busy_;
  }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || !queue_.empty();
  }
  Remains Finish(const QueryPtr& query);
  void LeaveQueue(ResolveQuery& query) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Answer LookUp(const ResolveQuery& query) const;

  const std::size_t max_queued_;
  const NameLookup lookup_;

  Mutex mu_;
  std::list<QueryPtr> queue_ ABSL_GUARDED_BY(mu_);
  // Places in the queue for queries that are about to enter it.
  std::size_t reserved_ ABSL_GUARDED_BY(mu_) = 0;
  // Every query that is not finished.
  absl::flat_hash_set<QueryPtr> queries_ ABSL_GUARDED_BY(mu_);
  // How many threads are making a lookup.
  std::size_t busy_ ABSL_GUARDED_BY(mu_) = 0;
  // For each thread, whether it waits for work, or is just starting.
  std::vector<bool> idle_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

absl::Status ResolverState::Begin(const QueryPtr& query, Timer timer) {
  const auto shared_timer = std::make_shared<Timer>(std::move(timer));
  const bool needs_thread = !query->answer.has_value();
  const absl::Duration delay =
      needs_thread ? query->timeout : absl::ZeroDuration();
  bool room = true;
  {
    absl::MutexLock lock(&mu_);
    query->timer = shared_timer;
    if (needs_thread) {
      room = HasRoom();
      if (room) ++reserved_;
    }
    if (room) queries_.insert(query);
  }
  if (!room) {
    Abandon(query);
    return absl::ResourceExhaustedError(
        absl::StrCat("resolve ", absl::CHexEscape(query->host), ": ",
                     max_queued_, " lookups wait for a thread already"));
  }
  // Before a thread can find the query: whoever has its answer sets the timer
  // after this, and not before.
  const absl::Status status = shared_timer->Set(delay);
  if (needs_thread) {
    absl::MutexLock lock(&mu_);
    --reserved_;
    // Its time may be over, and it finished, already.
    if (status.ok() && query->handler && !query->answer.has_value()) {
      query->queued = queue_.insert(queue_.end(), query);
    }
  }
  if (!status.ok()) Abandon(query);
  return status;
}

absl::Status ResolverState::Cancel(const QueryPtr& query) {
  std::shared_ptr<Timer> timer;
  std::optional<Answer> dropped;
  {
    absl::MutexLock lock(&mu_);
    if (!query->handler) {
      return absl::FailedPreconditionError("cancel a lookup: it is finished");
    }
    LeaveQueue(*query);
    dropped = std::exchange(
        query->answer, query->Failure(ErrorCause::kCancelled, "cancelled"));
    timer = query->timer;
  }
  // Refused by a loop that is stopped: the query is still set, and goes with
  // the loop.
  (void)timer->Set(absl::ZeroDuration());
  return absl::OkStatus();
}

void ResolverState::CancelAll() {
  std::vector<QueryPtr> queries;
  {
    absl::MutexLock lock(&mu_);
    queries.assign(queries_.begin(), queries_.end());
  }
  for (const QueryPtr& query : queries) (void)Cancel(query);
}

ResolverState::Remains ResolverState::Finish(const QueryPtr& query) {
  absl::MutexLock lock(&mu_);
  LeaveQueue(*query);
  queries_.erase(query);
  return {.handler = std::exchange(query->handler, nullptr),
          .answer = std::exchange(query->answer, std::nullopt),
          .timer = std::exchange(query->timer, nullptr)};
}

void ResolverState::LeaveQueue(ResolveQuery& query) {
  if (!query.queued.has_value()) return;
  queue_.erase(*query.queued);
  query.queued.reset();
}

void ResolverState::Deliver(const QueryPtr& query) {
  Remains remains = Finish(query);
  if (!remains.handler) return;
  if (!remains.answer.has_value()) {
    remains.answer =
        query->Failure(ErrorCause::kTimedOut,
                       absl::StrCat("no answer within ",
                                    absl::FormatDuration(query->timeout)));
  }
  remains.handler(*std::move(remains.answer));
}

void ResolverState::Abandon(const QueryPtr& query) { Finish(query); }

Answer ResolverState::LookUp(const ResolveQuery& query) const {
  Answer answer = lookup_ ? lookup_(query.host, query.family)
                          : platform::LookUpName(query.host, query.family);
  if (!answer.ok()) return answer;
  if (answer->empty()) {
    return query.Failure(ErrorCause::kNotFound, "it has no address");
  }
  for (SocketAddress& address : *answer) {
    address = address.with_port(query.port);
  }
  return answer;
}

void ResolverState::Work(std::size_t index) {
  while (true) {
    QueryPtr query;
    {
      absl::MutexLock lock(&mu_);
      idle_[index] = true;
      mu_.Await(absl::Condition(this, &ResolverState::HasWork));
      if (stopping_) return;
      query = queue_.front();
      LeaveQueue(*query);
      idle_[index] = false;
      ++busy_;
    }
    Answer answer = LookUp(*query);
    std::shared_ptr<Timer> timer;
    {
      absl::MutexLock lock(&mu_);
      --busy_;
      if (query->handler && !query->answer.has_value()) {
        query->answer = std::move(answer);
        timer = query->timer;
      }
    }
    if (timer != nullptr) (void)timer->Set(absl::ZeroDuration());
  }
}

std::vector<bool> ResolverState::StopWork() {
  absl::MutexLock lock(&mu_);
  stopping_ = true;
  return idle_;
}

}  // namespace internal

namespace {

using internal::Answer;

absl::Status BadHost(std::string_view host, absl::string_view problem) {
  constexpr std::size_t kMaxQuoted = 160;
  const std::string_view start = host.substr(0, kMaxQuoted);
  return StatusWithCause(
      absl::StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument,
      absl::StrCat(
          "resolve \"",
          absl::CHexEscape(absl::string_view(start.data(), start.size())),
          start.size() < host.size() ? "...\": " : "\": ", problem));
}

absl::Status CheckRequest(std::string_view host, const ResolveHandler& handler,
                          AddressFamily family) {
  // RFC 1035, section 2.3.4, as text without the final dot.
  constexpr std::size_t kMaxName = 253;
  if (!handler) {
    return absl::InvalidArgumentError("resolve: the handler is empty");
  }
  if (family == AddressFamily::kUnix) {
    return absl::InvalidArgumentError(
        "resolve: the family must be an IP family");
  }
  if (host.empty()) return BadHost(host, "the name is empty");
  if (host.find('\0') != std::string_view::npos) {
    return BadHost(host, "the name has a zero byte");
  }
  if (host.size() - (host.back() == '.' ? 1 : 0) > kMaxName) {
    return BadHost(host, "the name is longer than 253 characters");
  }
  return absl::OkStatus();
}

// The answer for a host that is an IP address; nullopt if it is a name. A
// status: neither.
absl::StatusOr<std::optional<Answer>> AnswerForAddress(std::string_view host,
                                                       std::uint16_t port,
                                                       AddressFamily family) {
  std::string_view ip = host;
  const bool brackets = ip.front() == '[';
  if (brackets) {
    if (ip.back() != ']') return BadHost(host, "the ']' is missing");
    ip = ip.substr(1, ip.size() - 2);
  }
  const bool must_be_ipv6 = brackets || ip.find(':') != std::string_view::npos;
  Answer answer = std::vector<SocketAddress>();
  const auto address = SocketAddress::FromIp(ip, port);
  if (!address.ok()) {
    if (!must_be_ipv6) return std::nullopt;
    if (absl::IsInvalidArgument(address.status())) {
      return BadHost(host, "it is no IPv6 address");
    }
    // The interface that the scope names cannot be found.
    answer = address.status();
  } else if (must_be_ipv6 && !address->is_ipv6()) {
    return BadHost(host, "it is no IPv6 address");
  } else if (family != AddressFamily::kUnspecified &&
             family != address->family()) {
    answer = StatusWithCause(
        absl::StatusCode::kNotFound, ErrorCause::kNotFound,
        absl::StrCat("resolve ", absl::string_view(host.data(), host.size()),
                     ": not an address of the family asked for"));
  } else {
    answer->push_back(*address);
  }
  return std::optional<Answer>(std::move(answer));
}

}  // namespace

absl::Status Lookup::Cancel() const {
  if (query_ == nullptr) {
    return absl::FailedPreconditionError("cancel a lookup: it is empty");
  }
  return query_->state->Cancel(query_);
}

Resolver::Resolver(EventLoop& loop, Timer loop_end,
                   std::shared_ptr<internal::ResolverState> state)
    : loop_(loop), loop_end_(std::move(loop_end)), state_(std::move(state)) {}

absl::StatusOr<std::unique_ptr<Resolver>> Resolver::Create(
    EventLoop& loop, ResolverOptions options) {
  constexpr int kMostThreads = 256;
  if (options.threads < 1 || options.threads > kMostThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("create resolver: threads must be 1 to ", kMostThreads,
                     ", not ", options.threads));
  }
  if (options.max_queued < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("create resolver: max_queued must be at least 0, not ",
                     options.max_queued));
  }
  auto loop_end = loop.CreateTimer([] {});
  if (!loop_end.ok()) return loop_end.status();
  auto state = std::make_shared<internal::ResolverState>(
      options.threads, options.max_queued, std::move(options.lookup));
  std::unique_ptr<Resolver> resolver(
      new Resolver(loop, *std::move(loop_end), state));
  try {
    for (int i = 0; i < options.threads; ++i) {
      resolver->threads_.emplace_back(
          [state, index = static_cast<std::size_t>(i)] { state->Work(index); });
    }
  } catch (const std::system_error& error) {
    return StatusWithCause(
        absl::StatusCode::kResourceExhausted, ErrorCause::kUnknown,
        absl::StrCat("create resolver: no thread can be started: ",
                     error.what()),
        error.code().value());
  }
  return resolver;
}

Resolver::~Resolver() {
  const std::vector<bool> idle = state_->StopWork();
  state_->CancelAll();
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (idle[i]) {
      threads_[i].join();
    } else {
      threads_[i].detach();
    }
  }
}

absl::StatusOr<Lookup> Resolver::Resolve(std::string_view host,
                                         std::uint16_t port,
                                         ResolveHandler handler,
                                         const ResolveOptions& options) {
  if (absl::Status status = CheckRequest(host, handler, options.family);
      !status.ok()) {
    return status;
  }
  auto answer = AnswerForAddress(host, port, options.family);
  if (!answer.ok()) return answer.status();
  // Refused once the loop is stopped or gone; then loop_ must not be touched.
  if (!loop_end_.Set(absl::InfiniteDuration()).ok()) {
    return absl::FailedPreconditionError(
        "resolve: the event loop is stopped or destroyed");
  }
  auto query = std::make_shared<internal::ResolveQuery>(
      state_, host, port, options, std::move(handler));
  query->answer = *std::move(answer);
  auto timer = loop_.CreateTimer([query, end = absl::MakeCleanup([query] {
                                           query->state->Abandon(query);
                                         })] { query->state->Deliver(query); });
  if (!timer.ok()) return timer.status();
  if (absl::Status status = state_->Begin(query, *std::move(timer));
      !status.ok()) {
    return status;
  }
  return Lookup(std::move(query));
}

}  // namespace weir
