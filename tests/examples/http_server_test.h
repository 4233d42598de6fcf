// A folder for the HTTP server to serve, and the server.

#ifndef WEIR_TESTS_EXAMPLES_HTTP_SERVER_TEST_H_
#define WEIR_TESTS_EXAMPLES_HTTP_SERVER_TEST_H_

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/server_process.h"

namespace weir::testing {

inline std::vector<ServerKind> HttpKinds() {
  return OnEachBackend({{"http_server", "", 1}, {"http_server", "", 4}});
}

// root/ with the files below; beside it "secret.txt" and "rooted/secret.txt",
// which no request reaches.
class HttpServerTest : public ServerTest {
 protected:
  static constexpr std::size_t kBigSize = (3 << 20) + 7;

  std::vector<std::string> ExtraArguments() override {
    namespace fs = std::filesystem;
    const fs::path pattern = fs::temp_directory_path() / "weir_http_XXXXXX";
    std::string name = pattern.string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::create_directories(folder_ / "root" / "sub dir");
    fs::create_directories(folder_ / "root" / "bare");
    fs::create_directories(folder_ / "rooted");
    Write("secret.txt", "secret");
    Write("rooted/secret.txt", "secret");
    Write("root/index.html", "<p>front</p>");
    Write("root/sub dir/index.html", "<p>sub</p>");
    Write("root/sub dir/a.txt", "a");
    Write("root/digits.txt", "0123456789");
    Write("root/empty.css", "");
    std::mt19937 random;
    big_.resize(kBigSize);
    for (char& byte : big_) byte = static_cast<char>(random());
    Write("root/big.bin", big_);
    fs::create_symlink("digits.txt", folder_ / "root" / "inside.txt");
    fs::create_symlink("../secret.txt", folder_ / "root" / "outside.txt");
    fs::create_directory_symlink("..", folder_ / "root" / "above");
    fs::create_directory_symlink("../rooted", folder_ / "root" / "beside");
    return {"--root=" + (folder_ / "root").string()};
  }

  void TearDown() override {
    ServerTest::TearDown();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& big() const { return big_; }

 private:
  std::filesystem::path folder_;
  std::string big_;
};

}  // namespace weir::testing

#endif  // WEIR_TESTS_EXAMPLES_HTTP_SERVER_TEST_H_
