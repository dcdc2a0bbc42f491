/* The words of a fuzzed session's requests: a step chooses them by number, and session_seeds.py knows the numbers. */
#ifndef FUZZ_SESSION_WORDS_H
#define FUZZ_SESSION_WORDS_H

static const char *const paths[] = {
    "/fuzz.v1.Session/Echo",
    "/fuzz.v1.Session/Chat",
    "/fuzz.v1.Session/Sum",
    "/fuzz.v1.Session/Count",
    "/fuzz.v1.Session/Wait",
    "/fuzz.v1.Session/Large",
    "/fuzz.v1.Session/Import",
    "/fuzz.v1.Session/Look",
    "/fuzz.v1.Session/Unserved",
    "/fuzz.v1.Session/Nothing",
    "fuzz",
    "/fuzz.v1.Session/Look?connect=v1&encoding=json&message=%7B%7D",
    "/fuzz.v1.Session/Look?connect=v1&encoding=proto&base64=1&message=CAE",
    "/fuzz.v1.Session/Look?message=%7",
    "/",
    "*",
};

static const char *const content_types[] = {
    "application/grpc",
    "application/grpc+proto",
    "application/grpc+json",
    "application/grpc-web",
    "application/grpc-web+json",
    "application/json",
    "application/proto",
    "application/connect+proto",
    "application/connect+json",
    "application/grpc;x=y",
    "text/plain",
    "",
    "application/json; charset=utf-8",
    "application/grpc-web-text",
    "application/grpc",
    "application/grpc",
};

/* May be added to any request; some are forbidden. */
static const char *const extras[][2] = {
    {"te", "trailers"},
    {"grpc-encoding", "gzip"},
    {"grpc-timeout", "1m"},
    {"grpc-timeout", "1n"},
    {"grpc-accept-encoding", "gzip"},
    {"connect-timeout-ms", "1"},
    {"connect-protocol-version", "1"},
    {"content-encoding", "gzip"},
    {"accept-encoding", "gzip"},
    {"connect-content-encoding", "gzip"},
    {"x-echo-bin", "AAEC/w"},
    {"x-echo-bin", "%%%"},
    {"x-forbid", "gate"},
    {"x-forbid", "match"},
    {"content-length", "5"},
    {"content-length", "nan"},
    {"connection", "close"},
    {"Upper", "case"},
    {":path", "/again"},
    {":unknown", "x"},
    {"te", "gzip"},
    {"grpc-encoding", "snappy"},
    {"traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"},
    {"x-request-id", "fuzz"},
    {"grpc-timeout", "soon"},
    {"grpc-timeout", "99999999H"},
    {"host", "other"},
    {"expect", "100-continue"},
    {"x-nul", "a\n"},
    {"connect-accept-encoding", "gzip"},
    {"cookie", "a=b"},
    {"grpc-previous-rpc-attempts", "3"},
};

#endif
