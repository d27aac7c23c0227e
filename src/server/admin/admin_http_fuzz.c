/* Whatever arrives in whatever pieces: the door answers or closes, and each answer is one whole
 * HTTP response of the length it says. */
#include "server/admin/admin_fakes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* One response at the start of `text`, which ends with a NUL; its length. */
static size_t response_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "\r\nContent-Length: ");

    assert(strncmp(text, "HTTP/1.1 ", 9) == 0);
    assert(end && length && length < end);
    size_t body = strtoull(length + 18, NULL, 10);
    return (size_t)(end - text) + 4 + body;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);
    bool may_be_head = false;

    for (size_t at = 0; at + 4 <= size; at++) may_be_head |= memcmp(data + at, "HEAD", 4) == 0;
    for (size_t at = 0; at < size && !e->asked_to_close;) {
        size_t piece = size_min(size - at, 1 + data[at]);
        piece = size_min(piece, buf_room(&e->stream->in));
        assert(piece); /* nothing that was answered stays */
        buf_append(&e->stream->in, data + at, piece);
        at += piece;
        fixture_event(f, e, ENV_RECEIVED);
    }
    buf_append_u8(&e->got, 0);
    const char *text = (const char *)buf_bytes(&e->got);
    while (*text && !may_be_head && !strstr(text, "\r\nTransfer-Encoding: chunked\r\n")) {
        size_t bytes = response_length(text);
        assert(bytes <= strlen(text));
        text += bytes;
    }
    fixture_free(f);
    return 0;
}
