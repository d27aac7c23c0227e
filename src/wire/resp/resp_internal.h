/* Between the files of this folder. */
#pragma once

#include "wire/resp/resp.h"

/* Set the sentence of a protocol error. Returns RESP_BAD. */
enum resp_status resp_refuse(struct resp_parser *p, const char *format, ...) PRINTF_LIKE(2, 3);

/* One more argument: `len` bytes at offset `at` from the base resp_finish is given. */
void resp_add_argument(struct resp_parser *p, size_t at, size_t len);

/* The request is complete and takes `bytes` of the input. Returns RESP_REQUEST. */
enum resp_status resp_finish(struct resp_parser *p, const u8 *base, size_t bytes, size_t *consumed);

enum resp_status resp_parse_inline(struct resp_parser *p, str input, size_t *consumed);
