#include "platform/name_lookup.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/interfaces.h"
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

// Once each, though there are three types of socket.
TEST(PlatformNameLookup, P03_LocalhostIsFoundInTheFamilyAskedFor) {
  const auto addresses = LookUpName("localhost", AddressFamily::kIpv4);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(std::count(addresses->begin(), addresses->end(),
                       SocketAddress::Ipv4Loopback(0)),
            1);
  for (const SocketAddress& address : *addresses) {
    EXPECT_TRUE(address.is_ipv4()) << address.ToString();
  }
  const auto all = LookUpName("localhost", AddressFamily::kUnspecified);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_GE(all->size(), addresses->size());
}

TEST(PlatformNameLookup, P03_AScopeIsKept) {
  const auto loopback = InterfaceIndex("lo");
  ASSERT_TRUE(loopback.ok()) << loopback.status();
  const auto addresses = LookUpName("fe80::1%lo", AddressFamily::kIpv6);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 1u);
  EXPECT_EQ(addresses->front().scope_id(), *loopback);
}

// The system says so without asking anybody.
TEST(PlatformNameLookup, P03_AnAddressOfTheOtherFamilyIsNotFound) {
  const auto addresses = LookUpName("127.0.0.1", AddressFamily::kIpv6);
  EXPECT_EQ(addresses.status().code(), absl::StatusCode::kNotFound)
      << addresses.status();
}

}  // namespace
}  // namespace weir::platform
