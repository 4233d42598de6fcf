// A backend around another one that reports each batch in a random order
// (survey trap 66).

#ifndef WEIR_TESTS_BACKENDS_SHUFFLING_BACKEND_H_
#define WEIR_TESTS_BACKENDS_SHUFFLING_BACKEND_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/backend.h"

namespace weir::test {

class ShufflingBackend final : public Backend {
 public:
  ShufflingBackend(std::unique_ptr<Backend> real, std::uint32_t seed)
      : real_(std::move(real)),
        name_("shuffled_" + std::string(real_->name())),
        random_(seed) {}

  std::string_view name() const override { return name_; }
  Capabilities capabilities() const override { return real_->capabilities(); }
  absl::Status Arm(WatchedSocket& socket, const Watch& from,
                   const Watch& to) override {
    return real_->Arm(socket, from, to);
  }
  absl::Status Start(Submission& submission,
                     std::span<const std::span<std::byte>> buffers) override {
    return real_->Start(submission, buffers);
  }
  absl::Status StartReceiveMany(WatchedSocket& socket) override {
    return real_->StartReceiveMany(socket);
  }
  void Cancel(Submission& submission) override { real_->Cancel(submission); }
  std::optional<ReceivedChunk> NextChunk(Submission& submission) override {
    return real_->NextChunk(submission);
  }
  bool KeepChunk(std::int32_t id) override { return real_->KeepChunk(id); }
  void ReturnChunk(std::int32_t id) override { real_->ReturnChunk(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) override {
    return real_->NextAccepted(submission);
  }
  absl::Status Submit() override { return real_->Submit(); }
  absl::Status Wait(std::int64_t timeout_ns) override {
    return real_->Wait(timeout_ns);
  }
  void Collect(ReadyList& ready) override {
    real_->Collect(ready);
    batch_.clear();
    while (WatchedSocket* socket = ready.Pop()) batch_.push_back(socket);
    std::shuffle(batch_.begin(), batch_.end(), random_);
    for (WatchedSocket* socket : batch_) ready.Push(*socket);
  }
  void Wake() override { real_->Wake(); }
  std::uint64_t system_calls() const override { return real_->system_calls(); }

 private:
  const std::unique_ptr<Backend> real_;
  const std::string name_;
  std::mt19937 random_;
  std::vector<WatchedSocket*> batch_;
};

}  // namespace weir::test

#endif  // WEIR_TESTS_BACKENDS_SHUFFLING_BACKEND_H_
