/* A connection to the stack's NATS as one of its identities, for programs that link nothing of the service. */
#ifndef BENCH_NATS_CONNECT_H
#define BENCH_NATS_CONNECT_H

#include <nats/nats.h>

#include <stdbool.h>
#include <stdio.h>

/* False: said on standard error. */
static inline bool bench_connect(natsConnection **nats, char **where, const char *identity)
{
    const char *url = where[0], *pki = where[1], *seeds = where[2];
    char cert[512], key[512], ca[512], seed[512], public_file[512], public_key[80] = "";
    snprintf(cert, sizeof cert, "%s/%s.pem", pki, identity);
    snprintf(key, sizeof key, "%s/%s.key", pki, identity);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    snprintf(seed, sizeof seed, "%s/%s.nk", seeds, identity);
    snprintf(public_file, sizeof public_file, "%s/%s.pub", seeds, identity);
    FILE *file = fopen(public_file, "re");
    bool read = file != NULL && fscanf(file, "%79s", public_key) == 1;
    if (file != NULL)
        fclose(file);
    natsOptions *options = NULL;
    natsStatus status = read ? natsOptions_Create(&options) : NATS_NOT_FOUND;
    if (status == NATS_OK)
        status = natsOptions_SetURL(options, url);
    if (status == NATS_OK)
        status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK)
        status = natsOptions_LoadCATrustedCertificates(options, ca);
    if (status == NATS_OK)
        status = natsOptions_LoadCertificatesChain(options, cert, key);
    if (status == NATS_OK)
        status = natsOptions_SetNKeyFromSeed(options, public_key, seed);
    /* The library leaves out a signature whose first byte is 0: one nonce in 256. */
    natsStatus connected = NATS_CONNECTION_AUTH_FAILED;
    for (int i = 0; i < 3 && status == NATS_OK && connected == NATS_CONNECTION_AUTH_FAILED; i++)
        connected = natsConnection_Connect(nats, options);
    natsOptions_Destroy(options);
    if (status == NATS_OK)
        status = connected;
    if (status != NATS_OK)
        fprintf(stderr, "NATS as %s: %s\n", identity, natsStatus_GetText(status));
    return status == NATS_OK;
}

#endif
