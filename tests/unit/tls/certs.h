/* Certificates for the tls suites, made in the test with libcrypto so that each flaw is exactly one. */
#ifndef TESTS_UNIT_TLS_CERTS_H
#define TESTS_UNIT_TLS_CERTS_H

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY (24L * 3600)

struct issued {
    X509 *cert;
    EVP_PKEY *key;
};

struct cert_spec {
    const char *san;      /* "DNS:localhost,URI:…"; NULL: none */
    const char *eku;      /* NULL: none */
    const char *raw_uri;  /* with raw_size: one URI with these very bytes instead of `san` */
    size_t raw_size;
    long starts;          /* seconds from now; 0: an hour ago */
    long ends;            /* 0: in a day */
    bool is_ca;
};

static inline void cert_extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline void cert_add_raw_uri(X509 *cert, const char *bytes, size_t size)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ck_assert_int_eq(ASN1_STRING_set(text, bytes, (int)size), 1);
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    ck_assert_int_gt(sk_GENERAL_NAME_push(names, name), 0);
    ck_assert_int_eq(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

/* Signed by `issuer`; by itself when that is NULL. */
static inline struct issued cert_make(const char *name, const struct cert_spec *spec,
                                      const struct issued *issuer)
{
    static long serial = 1;
    struct issued made = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
    ck_assert_ptr_nonnull(made.key);
    X509_set_version(made.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), spec->starts == 0 ? -3600 : spec->starts);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), spec->ends == 0 ? DAY : spec->ends);
    X509_NAME *subject = X509_get_subject_name(made.cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.cert, issuer == NULL ? subject : X509_get_subject_name(issuer->cert));
    X509_set_pubkey(made.cert, made.key);
    cert_extend(made.cert, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec->eku != NULL)
        cert_extend(made.cert, NID_ext_key_usage, spec->eku);
    if (spec->raw_uri != NULL)
        cert_add_raw_uri(made.cert, spec->raw_uri, spec->raw_size);
    else if (spec->san != NULL)
        cert_extend(made.cert, NID_subject_alt_name, spec->san);
    EVP_PKEY *signer = issuer == NULL ? made.key : issuer->key;
    ck_assert_int_gt(X509_sign(made.cert, signer, EVP_sha256()), 0);
    return made;
}

static inline void cert_drop(struct issued *issued)
{
    X509_free(issued->cert);
    EVP_PKEY_free(issued->key);
}

static inline const char *cert_path(char out[128], const char *folder, const char *file)
{
    ck_assert_int_lt(snprintf(out, 128, "%s/%s", folder, file), 128);
    return out;
}

static inline void cert_save_text(const char *folder, const char *file, const char *text)
{
    char path[128];
    FILE *stream = fopen(cert_path(path, folder, file), "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_ge(fputs(text, stream), 0);
    ck_assert_int_eq(fclose(stream), 0);
}

/* FOLDER/NAME.pem and FOLDER/NAME.key */
static inline void cert_save(const struct issued *issued, const char *folder, const char *name)
{
    char path[128], file[64];
    (void)snprintf(file, sizeof file, "%s.pem", name);
    FILE *stream = fopen(cert_path(path, folder, file), "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_X509(stream, issued->cert), 1);
    ck_assert_int_eq(fclose(stream), 0);
    (void)snprintf(file, sizeof file, "%s.key", name);
    stream = fopen(cert_path(path, folder, file), "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_PrivateKey(stream, issued->key, NULL, NULL, 0, NULL, NULL), 1);
    ck_assert_int_eq(fclose(stream), 0);
}

/* FOLDER/NAME.pem: the list of `authority` with `revoked` on it (NULL: nobody).  `ends`: seconds from now; 0: a
 * day.  `signer` NULL: the authority itself. */
struct list_spec {
    const struct issued *authority;
    const struct issued *signer;
    const X509 *revoked;
    long ends;
};

static inline void cert_save_list(const struct list_spec *spec, const char *folder, const char *name)
{
    char path[128], file[64];
    X509_CRL *list = X509_CRL_new();
    ASN1_TIME *time = X509_gmtime_adj(NULL, -3600);
    ck_assert_int_eq(X509_CRL_set_version(list, X509_CRL_VERSION_2), 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(spec->authority->cert));
    X509_CRL_set1_lastUpdate(list, time);
    if (spec->revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(spec->revoked));
        X509_REVOKED_set_serialNumber(entry, serial);
        X509_REVOKED_set_revocationDate(entry, time);
        ck_assert_int_eq(X509_CRL_add0_revoked(list, entry), 1);
        ASN1_INTEGER_free(serial);
    }
    ASN1_TIME *end = X509_gmtime_adj(NULL, spec->ends == 0 ? DAY : spec->ends);
    X509_CRL_set1_nextUpdate(list, end);
    const struct issued *signer = spec->signer == NULL ? spec->authority : spec->signer;
    ck_assert_int_gt(X509_CRL_sign(list, signer->key, EVP_sha256()), 0);
    (void)snprintf(file, sizeof file, "%s.pem", name);
    FILE *stream = fopen(cert_path(path, folder, file), "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(PEM_write_X509_CRL(stream, list), 1);
    ck_assert_int_eq(fclose(stream), 0);
    ASN1_TIME_free(time);
    ASN1_TIME_free(end);
    X509_CRL_free(list);
}

#endif
