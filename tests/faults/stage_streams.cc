#include "tests/faults/stage_streams.h"

#include <array>
#include <span>
#include <utility>

#include "weir/socket.h"

namespace weir::faults {
namespace {

constexpr std::size_t kPayload = 9000;

MutableBuffer RoomIn(std::string& buffer) {
  return std::as_writable_bytes(std::span(buffer.data(), buffer.size()));
}

// At home: an address of its own to connect from.
Stream OpenOn(Stage& stage) {
  auto stream = Stream::Open(stage.loop(), AddressFamily::kIpv4);
  absl::Status status = stream.status();
  if (status.ok()) status = stream->Bind(stage.home());
  if (status.ok()) return *std::move(stream);
  stage.Failed(status);
  return Stream();
}

}  // namespace

// --- ListenerPart

ListenerPart::ListenerPart(Stage& stage, How how, Serve serve)
    : stage_(stage), serve_(std::move(serve)) {
  auto listener = Listener::Listen(stage.loop(), stage.home());
  if (!listener.ok()) {
    stage.Failed(listener.status());
    return;
  }
  listener_ = *std::move(listener);
  auto address = listener_.LocalAddress();
  if (!address.ok()) {
    stage.Failed(address.status());
    return;
  }
  address_ = *address;
  Begin(how);
}

void ListenerPart::Begin(How how) {
  const bool goes_on = how == How::kGoingOn;
  auto promise =
      stage_.ledger().Add(goes_on ? "accepting" : "posted accept", owner_);
  const absl::Status status =
      goes_on ? listener_.StartAccepting(Handler(promise, goes_on))
              : listener_.Accept(Handler(promise, goes_on));
  if (status.ok()) return;
  promise->Refused();
  stage_.Failed(status);
}

AcceptHandler ListenerPart::Handler(std::shared_ptr<Promise> promise,
                                    bool goes_on) {
  return [this, goes_on,
          token = Token(promise)](absl::StatusOr<AcceptedStream>&& accepted) {
    token->Called(!goes_on || absl::IsCancelled(accepted.status()));
    if (accepted.ok()) return serve_(std::move(accepted->stream));
    if (!closing_) stage_.Failed(accepted.status());
  };
}

void ListenerPart::Close() {
  if (closing_ || !listener_) return;
  closing_ = true;
  auto promise = stage_.ledger().Add("listener close");
  const absl::Status status =
      listener_.Close([owner = owner_, token = Token(promise)] {
        token->Called(/*last=*/true);
        owner->closed = true;
      });
  if (status.ok()) return;
  promise->Refused();
  stage_.Wrong("a listener cannot be closed: " + status.ToString());
}

// --- servers

CompletionEcho::CompletionEcho(Stage& stage, Stream stream)
    : StreamPart(stage, "completion echo", std::move(stream)) {
  Next();
}

void CompletionEcho::Next() {
  Receive(RoomIn(buffer_), [this](const Completion& in) {
    if (in.bytes == 0) {
      Disconnect([this](const Completion&) { Close(); });
      return;
    }
    Send(std::as_bytes(std::span(buffer_.data(), in.bytes)),
         [this](const Completion&) { Next(); });
  });
}

StreamEcho::StreamEcho(Stage& stage, Stream stream)
    : StreamPart(stage, "stream echo", std::move(stream)) {
  StartReceive(
      [this](std::string_view data) {
        const auto unsent = stream_.SendCopy(BytesOf(data));
        if (!unsent.ok()) return Failed(unsent.status());
        if (paused_) return;
        paused_ = true;
        absl::Status status = stream_.PauseReceive();
        auto promise = stage_.ledger().Add("resuming");
        if (status.ok()) {
          status = stage_.loop().Post([this, token = Token(promise)] {
            token->Called(/*last=*/true);
            if (!closed()) (void)stream_.ResumeReceive();
          });
        }
        if (!status.ok()) {
          promise->Refused();
          Failed(status);
        }
      },
      [this] {
        Run(
            "flush",
            [this](CompletionHandler handler) {
              return stream_.Flush(std::move(handler));
            },
            [this](const Completion&) { Close(); });
      });
}

FileServer::FileServer(Stage& stage, Stream stream, const std::string& path)
    : StreamPart(stage, "file server", std::move(stream)) {
  auto file = File::Open(path);
  if (!file.ok()) {
    Failed(file.status());
    return;
  }
  file_ = *std::move(file);
  Run(
      "send file",
      [this](CompletionHandler handler) {
        return stream_.SendFile(file_, 0, file_.size(), std::move(handler));
      },
      [this](const Completion& done) {
        if (done.bytes != file_.size()) stage_.Wrong("a file was cut short");
        Disconnect([this](const Completion&) { Close(); });
      });
}

// --- clients

EchoClient::EchoClient(Stage& stage, const SocketAddress& address,
                       unsigned seed, bool first_is_copied)
    : StreamPart(stage, "echo client", OpenOn(stage)),
      payload_(Payload(kPayload, seed)) {
  stage.Expect();
  if (!stream_) return;
  Run(
      "connect",
      [&](CompletionHandler handler) {
        return stream_.Connect(address, std::move(handler));
      },
      [this, first_is_copied](const Completion&) {
        const std::string_view all = payload_;
        Send(BytesOf(all.substr(0, 1000)), [](const Completion&) {},
             {.zero_copy = !first_is_copied});
        const std::array parts = {BytesOf(all.substr(1000, 2000)),
                                  BytesOf(all.substr(3000))};
        Run(
            "vector",
            [&](CompletionHandler handler) {
              return stream_.SendVector(parts, std::move(handler),
                                        {.zero_copy = first_is_copied});
            },
            [this](const Completion& done) {
              if (done.bytes != kPayload - 1000) {
                stage_.Wrong("a send was cut short");
              }
              Disconnect([](const Completion&) {});
            });
        Next();
      });
}

void EchoClient::Next() {
  if (closed()) return;
  Receive(RoomIn(buffer_), [this](const Completion& in) {
    received_.append(buffer_, 0, in.bytes);
    if (in.bytes > 0) return Next();
    stage_.Compare(name_, received_, payload_);
    stage_.Through();
    Close();
  });
}

CopyingClient::CopyingClient(Stage& stage, const SocketAddress& address,
                             unsigned seed)
    : StreamPart(stage, "copying client", OpenOn(stage)),
      payload_(Payload(kPayload, seed)) {
  stage.Expect();
  if (!stream_) return;
  Run(
      "connect",
      [&](CompletionHandler handler) {
        return stream_.Connect(address, std::move(handler));
      },
      [this](const Completion&) { Begin(); });
}

void CopyingClient::Begin() {
  const std::string_view all = payload_;
  for (const std::string_view part : {all.substr(0, 100), all.substr(100)}) {
    const auto unsent = stream_.SendCopy(BytesOf(part));
    if (!unsent.ok()) return Failed(unsent.status());
  }
  Disconnect([](const Completion&) {});
  if (closed()) return;
  StartReceive([this](std::string_view data) { received_.append(data); },
               [this] {
                 stage_.Compare(name_, received_, payload_);
                 stage_.Through();
                 Close();
               });
}

Downloader::Downloader(Stage& stage, const SocketAddress& address,
                       std::string expected)
    : StreamPart(stage, "downloader", OpenOn(stage)),
      expected_(std::move(expected)) {
  stage.Expect();
  if (!stream_) return;
  Run(
      "connect",
      [&](CompletionHandler handler) {
        return stream_.Connect(address, std::move(handler),
                               {.timeout = absl::Hours(1)});
      },
      [this](const Completion&) { Next(); });
}

void Downloader::Next() {
  Receive(RoomIn(buffer_), [this](const Completion& in) {
    received_.append(buffer_, 0, in.bytes);
    if (in.bytes > 0) return Next();
    stage_.Compare(name_, received_, expected_);
    stage_.Through();
    Close();
  });
}

Idler::Idler(Stage& stage, Stream stream)
    : StreamPart(stage, "idler", std::move(stream)) {
  // The loop ends it.
  closing_ = true;
  Receive(RoomIn(buffer_), [](const Completion&) {});
}

}  // namespace weir::faults
