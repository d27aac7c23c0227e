/* Chunks of a snapshot are bytes from outside: whatever they are, they are refused or staged. The
 * input is cut into chunks by its own bytes: a length (u16), then that much. */
#include "store/store_internal.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct kvs_image *image = kvs_image_new();
    struct kvs *kvs = kvs_memory_open(image);
    struct store_options options = {.part = 0, .memory_bytes_max = MIB};
    struct store *s = store_new(kvs, &options);
    struct store_install *in;
    if (store_install_new(s, &in)) panic("the memory engine has no reason to refuse");
    err e = OK;
    while (size >= 2 && !e) {
        size_t bytes = size_min(get_u16(data), size - 2);
        e = store_install_chunk(in, str_from(data + 2, bytes));
        data += 2 + bytes;
        size -= 2 + bytes;
    }
    assert(e == OK || e == ERR_MALFORMED);
    if (e) {
        store_install_abort(in);
    } else {
        store_install_prepare(in);
        in->job.run(&in->job);
        e = store_install_done(in);
        assert(e == OK);
        store_check(s);
    }
    store_free(s);
    kvs->ops->close(kvs);
    kvs_image_free(image);
    return 0;
}
