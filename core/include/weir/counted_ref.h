// A reference to an object that counts its references itself, so that a handle
// of the application is one pointer, and the object has no second record.

#ifndef WEIR_COUNTED_REF_H_
#define WEIR_COUNTED_REF_H_

#include <cstddef>
#include <utility>

namespace weir::internal {

class Endpoint;

// Any thread. The last one destroys the endpoint.
void AddReference(Endpoint& endpoint);
void DropReference(Endpoint& endpoint);

// `Counted` may be incomplete; AddReference and DropReference are found by it.
template <typename Counted>
class CountedRef {
 public:
  CountedRef() = default;
  CountedRef(std::nullptr_t) {}  // NOLINT: as of any pointer
  explicit CountedRef(Counted& counted) : counted_(&counted) {
    AddReference(counted);
  }
  // Takes over a reference that GiveAway has given away.
  static CountedRef Adopt(Counted& counted) {
    CountedRef ref;
    ref.counted_ = &counted;
    return ref;
  }
  CountedRef(const CountedRef& other) : counted_(other.counted_) {
    if (counted_ != nullptr) AddReference(*counted_);
  }
  CountedRef(CountedRef&& other) noexcept
      : counted_(std::exchange(other.counted_, nullptr)) {}
  CountedRef& operator=(CountedRef other) noexcept {
    std::swap(counted_, other.counted_);
    return *this;
  }
  ~CountedRef() {
    if (counted_ != nullptr) DropReference(*counted_);
  }

  // Gives the reference away, to be adopted again.
  Counted* GiveAway() { return std::exchange(counted_, nullptr); }

  Counted* get() const { return counted_; }
  Counted& operator*() const { return *counted_; }
  Counted* operator->() const { return counted_; }
  friend bool operator==(const CountedRef& ref, std::nullptr_t) {
    return ref.counted_ == nullptr;
  }

 private:
  Counted* counted_ = nullptr;
};

}  // namespace weir::internal

#endif  // WEIR_COUNTED_REF_H_
