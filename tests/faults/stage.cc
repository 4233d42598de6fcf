#include "tests/faults/stage.h"

namespace weir::faults {

void Stage::Compare(const std::string& what, std::string_view received,
                    std::string_view sent) {
  const bool may_be_short = !failures_.empty();
  if (may_be_short ? !sent.starts_with(received) : received != sent) {
    Wrong(what + " did not get what was sent");
  }
}

void StreamPart::Close() {
  if (closing_ || !stream_) return;
  closing_ = true;
  auto promise = stage_.ledger().Add(name_ + " close");
  const absl::Status status =
      stream_.Close([owner = owner_, token = Token(promise)] {
        token->Called(/*last=*/true);
        owner->closed = true;
      });
  if (status.ok()) return;
  promise->Refused();
  stage_.Wrong(name_ + " cannot be closed: " + status.ToString());
}

// Of an operation that the close has ended, nothing more is to be said.
void StreamPart::Failed(const absl::Status& status) {
  if (!closing_) stage_.Failed(status);
  Close();
}

void StreamPart::Receive(MutableBuffer buffer, Then then) {
  Run(
      "receive",
      [&](CompletionHandler handler) {
        return stream_.Receive(buffer, std::move(handler));
      },
      std::move(then));
}

void StreamPart::Send(ConstBuffer data, Then then,
                      const OperationOptions& options) {
  Run(
      "send",
      [&](CompletionHandler handler) {
        return stream_.Send(data, std::move(handler), options);
      },
      std::move(then));
}

void StreamPart::Disconnect(Then then) {
  Run(
      "disconnect",
      [&](CompletionHandler handler) {
        return stream_.Disconnect(std::move(handler));
      },
      std::move(then));
}

void StreamPart::StartReceive(std::function<void(std::string_view)> on_data,
                              std::function<void()> on_end) {
  auto promise = stage_.ledger().Add(name_ + " receiver", owner_);
  const absl::Status status = stream_.StartReceive(
      [this, token = Token(promise), on_data = std::move(on_data),
       on_end = std::move(on_end)](const Received& received) {
        token->Called(received.end());
        if (!received.end()) {
          on_data(TextOf(received.data));
        } else if (received.status.ok()) {
          on_end();
        } else {
          Failed(received.status);
        }
      });
  if (status.ok()) return;
  promise->Refused();
  Failed(status);
}

std::string Payload(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  unsigned state = seed * 2654435761u + 1;
  for (char& letter : text) {
    state = state * 1664525u + 1013904223u;
    letter = static_cast<char>(state >> 24);
  }
  return text;
}

ConstBuffer BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view TextOf(ConstBuffer bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace weir::faults
