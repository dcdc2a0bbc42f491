/* The file of requests; see load.h. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool request_read(char *line, struct request *request);
static bool body_read(const char *hex, struct request *request);
static int digit(char c);

bool requests_read(struct load *load)
{
    FILE *file = fopen(load->requests_file, "re");
    if (file == NULL) {
        perror(load->requests_file);
        return false;
    }
    char *line = NULL;
    size_t room = 0, capacity = 0;
    while (getline(&line, &room, file) > 0) {
        if (load->request_count == capacity) {
            capacity = capacity * 2 + 64;
            load->requests = reallocarray(load->requests, capacity, sizeof *load->requests);
        }
        if (!request_read(line, &load->requests[load->request_count++])) {
            fprintf(stderr, "%s:%zu: not a request\n", load->requests_file, load->request_count);
            load->request_count = 0;
            break;
        }
    }
    free(line);
    fclose(file);
    return load->request_count > 0;
}

static bool request_read(char *line, struct request *request)
{
    *request = (struct request){.body = NULL};
    char *rest = NULL;
    const char *hex = strtok_r(line, " \n", &rest);
    if (hex == NULL || !body_read(strcmp(hex, "-") == 0 ? "" : hex, request))
        return false;
    for (char *word; (word = strtok_r(NULL, " \n", &rest)) != NULL;) {
        char *sign = strchr(word, '=');
        if (sign == NULL || request->header_count == HEADERS_MAX)
            return false;
        char *name = strndup(word, (size_t)(sign - word)), *value = strdup(sign + 1);
        request->headers[request->header_count++] =
            (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
    }
    return true;
}

/* With the prefix of a message that is not compressed. */
static bool body_read(const char *hex, struct request *request)
{
    size_t size = strlen(hex) / 2;
    request->size = size + 5;
    request->body = calloc(1, request->size);
    for (size_t i = 0; i < 4; i++)
        request->body[1 + i] = (uint8_t)(size >> (24 - 8 * i));
    for (size_t i = 0; i < size; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        request->body[5 + i] = (uint8_t)(high << 4 | low);
    }
    return strlen(hex) % 2 == 0;
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}
