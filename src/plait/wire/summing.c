/* The sum of RFC 1071 for a compiled core: one function, which plait.wire.checksum prefers. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Return the sum of 16-bit words in the machine's order; an odd last octet is padded with zero. */
static uint32_t sum(const unsigned char *at, Py_ssize_t left)
{
    uint64_t totals[8] = {0};
    uint64_t words[8];
    uint64_t total = 0;

    /* Halves of words of 64 bits: what compilers make fewest vector instructions of. */
    for (; left >= 64; at += 64, left -= 64) {
        memcpy(words, at, 64);
        for (int lane = 0; lane < 8; lane++)
            totals[lane] += (words[lane] & 0xFFFFFFFF) + (words[lane] >> 32);
    }
    for (int lane = 0; lane < 8; lane++)
        total += totals[lane]; /* below 2**64: the buffer has less than 2**32 words */
    for (; left > 0; at += 2, left -= 2) {
        uint16_t word = 0;
        memcpy(&word, at, left > 1 ? 2 : 1);
        total += word;
    }
    while (total >> 16)
        total = (total & 0xFFFF) + (total >> 16);
    return (uint32_t)total;
}

static PyObject *ones_sum(PyObject *module, PyObject *data)
{
    Py_buffer view;
    uint32_t found;

    (void)module;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    found = sum(view.buf, view.len);
    PyBuffer_Release(&view);
#if PY_LITTLE_ENDIAN
    found = (found & 0xFF) << 8 | found >> 8;
#endif
    return PyLong_FromUnsignedLong(found);
}

static PyMethodDef methods[] = {
    {"ones_sum", ones_sum, METH_O, "Return the sum of the 16-bit words of a buffer."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "plait.wire.summing",
    .m_doc = "The sum of RFC 1071.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_summing(void)
{
    return PyModule_Create(&definition);
}
