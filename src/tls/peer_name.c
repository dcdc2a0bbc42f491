/* What a certificate says of its owner: the one URI and the end of its life. */
#include "base/alloc.h"

#include "tls/tls_int.h"

#include <openssl/x509v3.h>

#include <time.h>

static const GENERAL_NAME *find_only_uri(const GENERAL_NAMES *names);
static bool is_printable(const unsigned char *bytes, size_t size);

/* One URI and no other: with two, which of them is the identity would be for the reader to
 * guess (SPIFFE X509-SVID section 2: "MUST contain exactly one URI SAN"). */
char *peer_name_uri(const X509 *certificate)
{
    /* NULL too when the extension stands there twice: such a certificate names nobody */
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (names == NULL)
        return NULL;
    char *uri = NULL;
    const GENERAL_NAME *name = find_only_uri(names);
    if (name != NULL) {
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        const unsigned char *bytes = ASN1_STRING_get0_data(text);
        size_t size = (size_t)ASN1_STRING_length(text);
        if (size > 0 && is_printable(bytes, size))
            uri = xstrndup((const char *)bytes, size);
    }
    GENERAL_NAMES_free(names);
    return uri;
}

/* timegm(3), since certificates' times are UTC (RFC 5280 section 4.1.2.5). */
int64_t certificate_time(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return INT64_MIN;
    return (int64_t)timegm(&parts);
}

static const GENERAL_NAME *find_only_uri(const GENERAL_NAMES *names)
{
    const GENERAL_NAME *found = NULL;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        if (found != NULL)
            return NULL;
        found = name;
    }
    return found;
}

/* No NUL (a name must not end early), no control character (it goes into logs), no space (no URI has one). */
static bool is_printable(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] <= 0x20 || bytes[i] > 0x7e)
            return false;
    }
    return true;
}
