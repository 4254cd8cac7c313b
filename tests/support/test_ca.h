// SPDX-License-Identifier: Apache-2.0
//
// Certificates made in the test's own process: authorities, of the root and between, and what they sign, good and bad.
// P-256 keys throughout.
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
  std::string chain_pem{};  // what stands between the certificate and its root, the nearest first
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
  // Signed by issuer; its own certificate goes into the chain of what it issues. Without may_sign that certificate does
  // not allow it, as one for a server.
  TestCa(const TestCa& issuer, const CertificateRequest& request, bool may_sign = true);
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  Identity issue(const CertificateRequest& request) const;
  // Signed by its own key, by no authority.
  static Identity self_signed(const CertificateRequest& request);

  const std::string& root_pem() const { return root_pem_; }
  // The root in a file that lives as long as this object. Only of a root.
  const std::string& root_file() const { return root_file_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string root_pem_;
  std::string root_file_;
  std::string chain_pem_;
};

}  // namespace chatsdk::test
