// In the place of OpenSSL's libcrypto.so.3, 4.7 MB, which an image would carry for one thing:
// libkmod reads the signer of a module's signature with it, which modinfo prints.
//
// d2i_PKCS7_bio answers that this is no signature; libkmod then prints all else, and asks no more.
// What it could only ask about a signature is here for the loader, and answers that there is none.
#include <initializer_list>

extern "C" {

namespace {
char g_bio;  // BIO_new_mem_buf must not fail: that would be lack of memory
}

void* BIO_new_mem_buf(const void* /*bytes*/, int /*size*/) {
  return &g_bio;
}

int BIO_free(void* bio) {
  return bio == nullptr ? 0 : 1;
}

void* d2i_PKCS7_bio(void* /*bio*/, void** /*into*/) {
  return nullptr;
}

void PKCS7_free(void* /*signature*/) {
}

void* PKCS7_get_signer_info(void* /*signature*/) {
  return nullptr;
}

void PKCS7_SIGNER_INFO_get0_algs(void* /*info*/, void** key, void** digest, void** encryption) {
  for (void** algorithm : {key, digest, encryption}) {
    if (algorithm != nullptr) {
      *algorithm = nullptr;
    }
  }
}

void X509_ALGOR_get0(const void** object, int* type, const void** value,
                     const void* /*algorithm*/) {
  if (object != nullptr) {
    *object = nullptr;
  }
  if (type != nullptr) {
    *type = -1;  // V_ASN1_UNDEF
  }
  if (value != nullptr) {
    *value = nullptr;
  }
}

int X509_NAME_entry_count(const void* /*name*/) {
  return 0;
}

void* X509_NAME_get_entry(const void* /*name*/, int /*index*/) {
  return nullptr;
}

void* X509_NAME_ENTRY_get_object(const void* /*entry*/) {
  return nullptr;
}

void* X509_NAME_ENTRY_get_data(const void* /*entry*/) {
  return nullptr;
}

void* OPENSSL_sk_value(const void* /*stack*/, int /*index*/) {
  return nullptr;
}

int OBJ_obj2nid(const void* /*object*/) {
  return 0;  // NID_undef
}

const unsigned char* ASN1_STRING_get0_data(const void* /*text*/) {
  return nullptr;
}

int ASN1_STRING_length(const void* /*text*/) {
  return 0;
}

void* ASN1_INTEGER_to_BN(const void* /*integer*/, void* /*into*/) {
  return nullptr;
}

int BN_num_bits(const void* /*number*/) {
  return 0;
}

int BN_bn2bin(const void* /*number*/, unsigned char* /*into*/) {
  return 0;
}

void BN_free(void* /*number*/) {
}

}  // extern "C"
