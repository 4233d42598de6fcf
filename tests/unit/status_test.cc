#include "weir/status.h"

#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "gtest/gtest.h"

namespace weir {
namespace {

// Every enumerator, first to last.
template <typename Visit>
void ForEachCause(Visit visit) {
  for (int i = static_cast<int>(ErrorCause::kNone);
       i <= static_cast<int>(ErrorCause::kCancelled); ++i) {
    visit(static_cast<ErrorCause>(i));
  }
}

TEST(Status, P05_EveryCauseIsCarriedAndRead) {
  ForEachCause([](ErrorCause cause) {
    if (cause == ErrorCause::kNone) return;
    const absl::Status status =
        StatusWithCause(absl::StatusCode::kAborted, cause, "words", 7);
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(status.message(), "words");
    EXPECT_EQ(CauseOf(status), cause) << ErrorCauseName(cause);
    EXPECT_EQ(SystemCodeOf(status), 7);
  });
}

TEST(Status, P05_CausesHaveNamesOfTheirOwnAndAnErrorCode) {
  std::set<std::string> names;
  int count = 0;
  ForEachCause([&](ErrorCause cause) {
    ++count;
    names.insert(std::string(ErrorCauseName(cause)));
    EXPECT_EQ(CanonicalCodeOf(cause) == absl::StatusCode::kOk,
              cause == ErrorCause::kNone)
        << ErrorCauseName(cause);
  });
  EXPECT_EQ(names.size(), static_cast<std::size_t>(count));
}

TEST(Status, P05_OkHasNoCause) {
  EXPECT_EQ(CauseOf(absl::OkStatus()), ErrorCause::kNone);
  EXPECT_EQ(SystemCodeOf(absl::OkStatus()), std::nullopt);
}

TEST(Status, P05_AStatusOfSomebodyElseHasUnknownCause) {
  EXPECT_EQ(CauseOf(absl::InternalError("x")), ErrorCause::kUnknown);
  EXPECT_EQ(SystemCodeOf(absl::InternalError("x")), std::nullopt);
}

TEST(Status, P05_GarbledPayloadsAreNotBelieved) {
  absl::Status status = absl::InternalError("x");
  status.SetPayload("weir/cause", absl::Cord("no such cause"));
  status.SetPayload("weir/system-code", absl::Cord("12x"));
  EXPECT_EQ(CauseOf(status), ErrorCause::kUnknown);
  EXPECT_EQ(SystemCodeOf(status), std::nullopt);
}

TEST(Status, P05_CauseAndCodeAreOptional) {
  const absl::Status bare =
      StatusWithCause(absl::StatusCode::kInternal, ErrorCause::kNone, "x");
  EXPECT_EQ(CauseOf(bare), ErrorCause::kUnknown);
  EXPECT_EQ(SystemCodeOf(bare), std::nullopt);
  const absl::Status cause_only =
      StatusWithCause(absl::StatusCode::kInternal, ErrorCause::kCancelled, "x");
  EXPECT_EQ(CauseOf(cause_only), ErrorCause::kCancelled);
  EXPECT_EQ(SystemCodeOf(cause_only), std::nullopt);
}

TEST(Status, P05_CopiesKeepTheCause) {
  absl::Status status = StatusWithCause(absl::StatusCode::kUnavailable,
                                        ErrorCause::kConnectionReset, "x", -3);
  const absl::Status copy = status;
  status = absl::OkStatus();
  EXPECT_EQ(CauseOf(copy), ErrorCause::kConnectionReset);
  EXPECT_EQ(SystemCodeOf(copy), -3);
}

TEST(Status, P05_PrintingShowsCauseAndNumber) {
  const std::string text =
      StatusWithCause(absl::StatusCode::kUnavailable,
                      ErrorCause::kConnectionReset, "receive", 104)
          .ToString();
  EXPECT_NE(text.find("connection reset"), std::string::npos) << text;
  EXPECT_NE(text.find("104"), std::string::npos) << text;
}

}  // namespace
}  // namespace weir
