// A user's program: it knows only the installed headers. Runs a timer on the
// build's default backend and prints the backend's name.

#include <weir/backends.h>
#include <weir/event_loop.h>
#include <weir/timer.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace {

// Ends the program unless `status` is OK.
void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status << '\n';
  std::exit(1);
}

}  // namespace

int main() {
  absl::StatusOr<std::unique_ptr<weir::EventLoop>> loop =
      weir::EventLoop::Create();
  Check(loop.status());

  int fired = 0;
  absl::StatusOr<weir::Timer> timer = (*loop)->CreateTimer([&] {
    ++fired;
    (*loop)->Stop();
  });
  Check(timer.status());
  Check(timer->Set(absl::Milliseconds(1)));
  Check((*loop)->Run());

  if (fired != 1) {
    std::cerr << "the timer fired " << fired << " times\n";
    return 1;
  }
  std::cout << "backend: " << (*loop)->backend_name() << '\n';
  return 0;
}
