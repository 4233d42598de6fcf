#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/name_lookup.h"
#include "platform/windows/winsock.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(PlatformNameLookup, P05_TheMessageHasNameWordsSymbolAndNumber) {
  const absl::Status status =
      NameLookupError(WSAHOST_NOT_FOUND, 0, "no.example");
  const std::string message(status.message());
  EXPECT_THAT(message, ::testing::StartsWith("resolve no.example: "));
  EXPECT_THAT(message, ::testing::EndsWith(" (WSAHOST_NOT_FOUND 11001)"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(CauseOf(status), ErrorCause::kNotFound);
  EXPECT_EQ(SystemCodeOf(status), WSAHOST_NOT_FOUND);
}

// Those of POSIX's resolver with the same meaning.
TEST(PlatformNameLookup, P05_CodesAndCauses) {
  const struct {
    int code;
    absl::StatusCode canonical;
    ErrorCause cause;
  } kCases[] = {
      {WSAHOST_NOT_FOUND, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {WSANO_DATA, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {WSATRY_AGAIN, absl::StatusCode::kUnavailable, ErrorCause::kUnknown},
      {WSANO_RECOVERY, absl::StatusCode::kUnavailable,
       ErrorCause::kProtocolError},
      {WSA_NOT_ENOUGH_MEMORY, absl::StatusCode::kResourceExhausted,
       ErrorCause::kNoMemory},
      {WSAEAFNOSUPPORT, absl::StatusCode::kUnimplemented,
       ErrorCause::kNotSupported},
      {WSAEINVAL, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {WSATYPE_NOT_FOUND, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
  };
  for (const auto& row : kCases) {
    const absl::Status status = NameLookupError(row.code, 0, "a");
    EXPECT_EQ(status.code(), row.canonical) << status;
    EXPECT_EQ(CauseOf(status), row.cause) << status;
    EXPECT_EQ(SystemCodeOf(status), row.code) << status;
  }
  EXPECT_TRUE(NameLookupError(0, 0, "a").ok());
}

TEST(PlatformNameLookup, P03_WhatIsNoNameIsNotFound) {
  for (const char* name : {"", "\xff\xfe"}) {
    const absl::Status status =
        LookUpName(name, AddressFamily::kUnspecified).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  }
}

}  // namespace
}  // namespace weir::platform
