// A loop on a FakeBackend, in either readiness model.

#ifndef WEIR_TESTS_BACKENDS_FAKE_BACKEND_FIXTURE_H_
#define WEIR_TESTS_BACKENDS_FAKE_BACKEND_FIXTURE_H_

#include <memory>

#include "tests/backends/fake_backend.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {

class OnFakeBackend : public ::testing::TestWithParam<ReadinessModel> {
 protected:
  void SetUp() override { MakeLoop(1); }

  void MakeLoop(int threads, bool errors_without_cause = false) {
    auto backend = std::make_unique<test::FakeBackend>(GetParam(),
                                                       errors_without_cause);
    fake_ = backend.get();
    EventLoopOptions options;
    options.threads = threads;
    loop_ = Must(EventLoop::Create(std::move(backend), options));
  }
  Registration Register(Socket& socket, const RegistrationOptions& options,
                        Recorder& recorder) {
    return Must(loop_->Register(socket, options, recorder.Handler()));
  }
  int Turn() { return Must(loop_->RunOnce(absl::ZeroDuration())); }
  // A connection whose server side is readable and writable.
  static Connection Ready() {
    Connection connection = Connected(test::LocalFamily());
    Send(connection.client, "x");
    return connection;
  }

  test::FakeBackend* fake_ = nullptr;
  std::unique_ptr<EventLoop> loop_;
};
#define WEIR_FAKE_BACKEND_SUITE(fixture)                                \
  INSTANTIATE_TEST_SUITE_P(                                             \
      , fixture,                                                        \
      ::testing::Values(ReadinessModel::kPersistent,                    \
                        ReadinessModel::kSingleShot),                   \
      [](const auto& parameter) {                                       \
        return parameter.param == ReadinessModel::kPersistent           \
                   ? "persistent"                                       \
                   : "single_shot";                                     \
      })

}  // namespace weir::conformance

#endif  // WEIR_TESTS_BACKENDS_FAKE_BACKEND_FIXTURE_H_
