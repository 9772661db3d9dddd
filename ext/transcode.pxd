cdef bytes transcode(const char* at, Py_ssize_t size)
