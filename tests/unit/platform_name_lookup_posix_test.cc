#include "platform/name_lookup.h"

#include <netdb.h>

#include <cerrno>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(PlatformNameLookup, P05_TheMessageHasNameWordsSymbolAndNumber) {
  const absl::Status status = NameLookupError(EAI_NONAME, 0, "no.example");
  EXPECT_EQ(status.message(),
            "resolve no.example: Name or service not known (EAI_NONAME -2)");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(CauseOf(status), ErrorCause::kNotFound);
  EXPECT_EQ(SystemCodeOf(status), EAI_NONAME);
}

TEST(PlatformNameLookup, P05_CodesAndCauses) {
  const struct {
    int code;
    absl::StatusCode canonical;
    ErrorCause cause;
  } kCases[] = {
      {EAI_NONAME, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {EAI_NODATA, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {EAI_ADDRFAMILY, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {EAI_AGAIN, absl::StatusCode::kUnavailable, ErrorCause::kUnknown},
      {EAI_FAIL, absl::StatusCode::kUnavailable, ErrorCause::kProtocolError},
      {EAI_MEMORY, absl::StatusCode::kResourceExhausted, ErrorCause::kNoMemory},
      {EAI_FAMILY, absl::StatusCode::kUnimplemented, ErrorCause::kNotSupported},
      {EAI_BADFLAGS, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {EAI_SERVICE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {EAI_SOCKTYPE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {EAI_OVERFLOW, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {EAI_IDN_ENCODE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
  };
  for (const auto& row : kCases) {
    const absl::Status status = NameLookupError(row.code, 0, "a");
    EXPECT_EQ(status.code(), row.canonical) << status;
    EXPECT_EQ(CauseOf(status), row.cause) << status;
    EXPECT_EQ(SystemCodeOf(status), row.code) << status;
  }
}

TEST(PlatformNameLookup, P05_TheSystemsNumberIsToldWhereThereIsOne) {
  const absl::Status status = NameLookupError(EAI_SYSTEM, EMFILE, "a");
  EXPECT_EQ(status.message(), "resolve a: Too many open files (EMFILE 24)");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CauseOf(status), ErrorCause::kTooManyDescriptors);
  EXPECT_EQ(NameLookupError(EAI_SYSTEM, 0, "a").code(),
            absl::StatusCode::kUnknown);
}

TEST(PlatformNameLookup, P05_AnUnknownNumberKeepsItsNumber) {
  const absl::Status status = NameLookupError(-9876, EMFILE, "a");
  EXPECT_EQ(status.message(), "resolve a: Unknown error (-9876)");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_TRUE(NameLookupError(0, EMFILE, "a").ok());
}

}  // namespace
}  // namespace weir::platform
