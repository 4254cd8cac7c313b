// SPDX-License-Identifier: Apache-2.0
#include "support/test_ca.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace chatsdk::test {

namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Certificate = std::unique_ptr<X509, FreeCertificate>;

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

Key new_key() {
  Key key(EVP_EC_gen("P-256"));
  require(key != nullptr, "no key");
  return key;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}
std::string pem_of(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return text_of(bio);
}
std::string pem_of(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr, "bad extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate new_certificate(const CertificateRequest& request, EVP_PKEY* key) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), request.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), request.valid_to_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(request.common_name.c_str()), -1, -1, 0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

void add_names(X509* certificate, X509* issuer, const CertificateRequest& request) {
  std::string names;
  for (const std::string& name : request.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& address : request.addresses) names += (names.empty() ? "IP:" : ",IP:") + address;
  if (!names.empty()) add_extension(certificate, issuer, NID_subject_alt_name, names);
  add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth");
}

void add_right_to_sign(X509* certificate, X509* issuer) {
  add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
}

}  // namespace

struct TestCa::Parts {
  Key key;
  Certificate certificate;
};

TestCa::TestCa(const std::string& name) : parts_(std::make_unique<Parts>()) {
  parts_->key = new_key();
  CertificateRequest request;
  request.common_name = name;
  parts_->certificate = new_certificate(request, parts_->key.get());
  X509* root = parts_->certificate.get();
  X509_set_issuer_name(root, X509_get_subject_name(root));
  add_right_to_sign(root, root);
  require(X509_sign(root, parts_->key.get(), EVP_sha256()) != 0, "cannot sign");
  root_pem_ = pem_of(root);

  std::string path = "/tmp/chatsdk-root-XXXXXX";
  const int file = mkstemp(path.data());
  require(file >= 0, "no temporary file");
  const bool written = write(file, root_pem_.data(), root_pem_.size()) == static_cast<ssize_t>(root_pem_.size());
  close(file);
  require(written, "cannot write the root");
  root_file_ = path;
}

TestCa::TestCa(const TestCa& issuer, const CertificateRequest& request, bool may_sign)
    : parts_(std::make_unique<Parts>()) {
  parts_->key = new_key();
  parts_->certificate = new_certificate(request, parts_->key.get());
  X509* const own = parts_->certificate.get();
  X509* const above = issuer.parts_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(above));
  if (may_sign) {
    add_right_to_sign(own, above);
  } else {
    add_names(own, above, request);
  }
  require(X509_sign(own, issuer.parts_->key.get(), EVP_sha256()) != 0, "cannot sign");
  chain_pem_ = pem_of(own) + issuer.chain_pem_;
}

TestCa::~TestCa() {
  if (!root_file_.empty()) unlink(root_file_.c_str());
}

Identity TestCa::issue(const CertificateRequest& request) const {
  const Key key = new_key();
  const Certificate certificate = new_certificate(request, key.get());
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(parts_->certificate.get()));
  add_names(certificate.get(), parts_->certificate.get(), request);
  require(X509_sign(certificate.get(), parts_->key.get(), EVP_sha256()) != 0, "cannot sign");
  return {pem_of(certificate.get()), pem_of(key.get()), chain_pem_};
}

Identity TestCa::self_signed(const CertificateRequest& request) {
  const Key key = new_key();
  const Certificate certificate = new_certificate(request, key.get());
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  add_names(certificate.get(), certificate.get(), request);
  require(X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0, "cannot sign");
  return {pem_of(certificate.get()), pem_of(key.get()), {}};
}

}  // namespace chatsdk::test
