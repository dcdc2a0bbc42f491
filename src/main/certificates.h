/* Certificates, key, CAs and revocation lists of the running server: read again when their files change. */
#ifndef MAIN_CERTIFICATES_H
#define MAIN_CERTIFICATES_H

#include "base/result.h"

#include "config/config.h"

#include <stdint.h>

struct serve;
struct certificates;

enum { CERTIFICATE_FILES = 4 };

/* How the files looked: who differs has changed.  Follows links, so that the exchange of a mounted secret's
 * `..data` shows. */
struct certificate_stamps {
    struct file_stamp {
        uint64_t device;
        uint64_t inode;
        int64_t size;
        int64_t changed_ns; /* mtime; all zero: there is no such file */
    } files[CERTIFICATE_FILES];
};

/* Before loading what is stamped: a change in between then shows as another stamp. */
void certificate_stamps_take(const struct config_tls *tls, struct certificate_stamps *stamps);

/* Makes serve's two contexts and serve->certificates, which from then on watches the files of serve->app->live
 * and renews the contexts.  The main thread's.  Fault: TLS naming the file. */
int certificates_open(struct serve *serve) MUST_CHECK;
void certificates_close(struct certificates *certificates); /* accepts NULL */

/* A reload of the whole configuration has replaced the contexts by what was stamped … */
void certificates_renewed(struct certificates *certificates,
                          const struct certificate_stamps *stamps);
/* … or was refused because of these files. */
void certificates_refused(struct certificates *certificates);

#endif
