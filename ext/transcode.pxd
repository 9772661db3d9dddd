from ext.kept cimport Kept

cdef Kept* kept_json(const char* json, Py_ssize_t size) except NULL
