// SPDX-License-Identifier: Apache-2.0
//
// Certificates made in the test's own process: an authority and what it signs, good and bad. P-256 keys throughout.
//
// Threads: values; TestCa belongs to one test.
#pragma once

#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace chatsdk::test {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;
};

struct CertificateRequest {
  std::string common_name = "localhost";
  std::vector<std::string> dns_names = {"localhost"};
  std::vector<std::string> addresses = {"127.0.0.1"};
  long valid_from_s = -3'600;  // relative to now
  long valid_to_s = 3'600;
};

class TestCa {
 public:
  explicit TestCa(const std::string& name = "chatsdk test root");
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  Identity issue(const CertificateRequest& request) const;
  // Signed by its own key, by no authority.
  static Identity self_signed(const CertificateRequest& request);

  const std::string& root_pem() const { return root_pem_; }
  // The root in a file that lives as long as this object.
  const std::string& root_file() const { return root_file_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string root_pem_;
  std::string root_file_;
};

}  // namespace chatsdk::test
